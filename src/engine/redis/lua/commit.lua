-- Carries out a change (see Commit in transaction.ts) if everything that it was derived from is still as it was read.
-- Returns 'changed' if it is not, 'carried out' if another node has carried out its deadline, else see Committed in
-- scripts.ts.
if is_fenced(node) then return 'fenced' end
change = cjson.decode(change)
for _, seen in ipairs(change.seen) do
  if (redis.call('HGET', session_key(seen[1]), 'revision') or '0') ~= seen[2] then return 'changed' end
end
for _, deadline in ipairs(change.due) do
  if not redis.call('ZSCORE', due_key(), deadline) then return 'carried out' end
end

-- Keeps a session that has blocked another one for as long as its token is valid. Past the bounds, in total and of one
-- address, the one that went first is kept only as long as any other session.
local function keep_blocker(id, address, life_s, short_s, max, max_per_address)
  local indexes = { { blockers_key(), max } }
  if address ~= '' then indexes[2] = { blockers_at_key(address), max_per_address } end
  for _, key in ipairs({ session_key(id), avoidances_key(id) }) do redis.call('EXPIRE', key, life_s) end
  for _, index in ipairs(indexes) do
    local key, bound = index[1], tonumber(index[2])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - 1000 * life_s)
    redis.call('ZADD', key, now, id)
    redis.call('EXPIRE', key, life_s)
    while bound > 0 and redis.call('ZCARD', key) > bound do
      local first = redis.call('ZPOPMIN', key)[1]
      for _, kept in ipairs({ session_key(first), avoidances_key(first) }) do
        -- The keys of a session that has come back do not expire.
        if redis.call('TTL', kept) > tonumber(short_s) then redis.call('EXPIRE', kept, short_s) end
      end
    end
  end
end

local last, missed = 0, {}
if change.reads then
  local id, after = change.reads[1], tonumber(change.reads[2])
  local extent = redis.call('HMGET', session_key(id), 'last', 'dropped')
  local dropped = tonumber(extent[2] or '0')
  last = tonumber(extent[1] or '0')
  if after and (after < dropped or after > last) then return 'changed' end
  if after then missed = redis.call('LRANGE', log_key(id), after - dropped, -1) end
end
for _, seen in ipairs(change.seen) do redis.call('HINCRBY', session_key(seen[1]), 'revision', 1) end
for _, command in ipairs(change.commands) do
  if command[1] == 'keep_blocker' then keep_blocker(unpack(command, 2)) else redis.call(unpack(command)) end
end
local messages = {}
for _, event in ipairs(change.events) do
  append_event(messages, event[1], event[2], tonumber(events_max), tonumber(bytes_max))
end
publish(messages)
if change.result then
  record_result(change.result[1], change.result[2], change.result[3], now, tonumber(results_max))
end
local lasts = {}
for n, seen in ipairs(change.seen) do
  lasts[n] = { seen[1], tonumber(redis.call('HGET', session_key(seen[1]), 'last') or '0') }
end
local options = {}
for n, id in ipairs(change.looking) do options[n] = eligible_for(id, tonumber(now), tonumber(eligible_max)) end
return { last, missed, lasts, options }
