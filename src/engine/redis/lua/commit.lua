-- Carries out a change (see Commit in transaction.ts) if everything that it was derived from is still as it was. Returns
-- { 'committed', … } (see Committed in scripts.ts), { 'carried out' } if another node has carried out its deadline, or
-- { 'changed', … } with the sessions as they are, also if its mutation has a result already.
if is_fenced(node) then return 'fenced' end
now, events_max, bytes_max = tonumber(now), tonumber(events_max), tonumber(bytes_max)
change = cjson.decode(change)
local function changed() return { 'changed', sessions_as_they_are(change.ids, change.mutation, change.pairing_at) } end
if change.mutation ~= '' then
  local recorded = redis.call('HGET', results_key(change.ids[1]), change.mutation)
  local at = recorded and tonumber(string.match(recorded, '^%d+ (%d+)'))
  if at and at > tonumber(recorded_since) then return changed() end
end
local logs = {}
for n, one in ipairs(change.sessions) do
  local fields =
    redis.call('HMGET', session_key(one.id), 'revision', 'name', 'dropped', 'nodes', 'epoch', 'answered')
  if (fields[1] or '0') ~= one.revision then return changed() end
  logs[n] = {
    name = fields[2],
    dropped = tonumber(fields[3] or '0'),
    holders = one.holders or fields[4],
    exists = fields[5] ~= false,
    answered = tonumber(fields[6] or '0'),
  }
end
for _, deadline in ipairs(change.due) do
  if not redis.call('ZSCORE', due_key(), deadline) then return { 'carried out' } end
end
local last, missed = 0, {}
if change.reads then
  local id, after = change.reads[1], tonumber(change.reads[2])
  local fields = redis.call('HMGET', session_key(id), 'name', 'dropped')
  local dropped = tonumber(fields[2] or '0')
  last = dropped + (fields[1] and redis.call('LLEN', log_key(id, fields[1])) or 0)
  if after and (after < dropped or after > last) then return changed() end
  if after then missed = redis.call('LRANGE', log_key(id, fields[1]), after - dropped, -1) end
end

-- Keeps a session that has blocked another one for as long as its token is valid. Past the bounds, in total and of one
-- address, the one that went first is kept only as long as any other session.
local function keep_blocker(id, address_hash, life_s, short_s, max, max_per_address)
  local indexes = { { blockers_key(), max } }
  if address_hash ~= '' then indexes[2] = { blockers_at_key(address_hash), max_per_address } end
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

-- The counts in an event are those before the change, and what it adds.
local function with_counts(entry)
  local waiting = redis.call('ZCARD', lobby_key(entry.mode)) + entry.waiting
  return string.format(entry.format, waiting, redis.call('SCARD', online_key()) + entry.online)
end
for _, one in ipairs(change.sessions) do
  for n, entry in ipairs(one.entries) do
    if type(entry) == 'table' then one.entries[n], one.formatted = with_counts(entry), true end
  end
end
for _, command in ipairs(change.commands) do
  if command[1] == 'keep_blocker' then keep_blocker(unpack(command, 2)) else redis.call(unpack(command)) end
end

-- Changes a session's fields and log. Returns { id, offset of the last event, the entries if they contain counts }.
local function store(one, log, messages)
  local key, set, name = session_key(one.id), one.set, log.name
  local function put(field, value) set[#set + 1], set[#set + 2] = field, value end
  if one.log == 'begins' or one.log == 'ends' then
    if name then redis.call('DEL', log_key(one.id, name)) end
    -- No name is ever used twice, also after this session was forgotten: it is renamed less often than once in a millisecond.
    name = string.format('%d', math.max(now, tonumber(name or '0') + 1))
    put('name', name)
    put('dropped', 0)
    log.dropped, log.exists = 0, one.log == 'begins'
  end
  local length, count = 0, log.exists and #one.entries or 0
  if count > 0 then
    local list = log_key(one.id, name)
    length = redis.call('RPUSH', list, unpack(one.entries))
    address(messages, log.holders, one.id, log.dropped + length - count + 1, one.entries)
    local drop = excess(list, length, one.entries, events_max, bytes_max)
    if drop > 0 then
      redis.call('LTRIM', list, drop, -1)
      log.dropped, length, one.log = log.dropped + drop, length - drop, 'renamed'
      put('dropped', log.dropped)
    end
  end
  if one.log == 'renamed' and name then
    local following = string.format('%d', name + 1)
    if count > 0 or redis.call('EXISTS', log_key(one.id, name)) == 1 then
      redis.call('RENAME', log_key(one.id, name), log_key(one.id, following))
    end
    put('name', following)
  end
  local last = log.dropped + length
  if one.marks then put('mark', last) end
  if change.result and change.result[1] == one.id then
    put('answered', log.answered + 1)
  end
  if one.changes then put('revision', one.revision + 1) end
  if #set > 0 then redis.call('HSET', key, unpack(set)) end
  if #one.unset > 0 then redis.call('HDEL', key, unpack(one.unset)) end
  return { one.id, count > 0 and last or 0, one.formatted and one.entries or false }
end
local messages, stored = {}, {}
for n, one in ipairs(change.sessions) do stored[n] = store(one, logs[n], messages) end
publish(messages)

-- Records a mutation's result as '<number> <epoch ms> <json>', and now and then forgets all but the newest ones.
local function record(id, mutation, result, answered)
  local key, max = results_key(id), tonumber(results_max)
  redis.call('HSET', key, mutation, string.format('%d %d %s', answered, now, result))
  redis.call('EXPIRE', key, 150)
  if answered % max > 0 then return end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^%d+')) <= answered - max then redis.call('HDEL', key, all[i]) end
  end
end
if change.result then
  for n, one in ipairs(change.sessions) do
    if one.id == change.result[1] then record(one.id, change.result[2], change.result[3], logs[n].answered + 1) end
  end
end
local options = {}
for n, id in ipairs(change.looking) do options[n] = eligible_for(id, now, tonumber(eligible_max)) end
return { 'committed', last, missed, stored, options }
