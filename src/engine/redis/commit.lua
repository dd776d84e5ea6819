-- Carries out a change, if all that it was made from is still as it was seen. ARGV: prefix, node, now, events_max,
-- bytes_max, answers_max, change. Answers how long a log was, what of it was missed, and how long each is now.
local p, node, now = ARGV[1], ARGV[2], ARGV[3]
local change = cjson.decode(ARGV[7])
if fenced(p, node) then return 'fenced' end
for _, seen in ipairs(change.seen) do
  if (redis.call('HGET', p .. 's:' .. seen[1], 'revision') or '0') ~= seen[2] then return 'changed' end
end
for _, deadline in ipairs(change.due) do
  if not redis.call('ZSCORE', p .. 'due', deadline) then return 'carried out' end
end
-- Keeps one that has blocked somebody as long as its token lives; past the bounds, in all and of one address, the first
-- to have gone is kept as long as any other.
local function keep(id, address, life_s, short_s, total, per_address)
  local indexes = { { p .. 'blockers', total } }
  if address ~= '' then indexes[2] = { p .. 'blockers:' .. address, per_address } end
  for _, kind in ipairs({ 's:', 'v:' }) do redis.call('EXPIRE', p .. kind .. id, life_s) end
  for _, index in ipairs(indexes) do
    local key, max = index[1], tonumber(index[2])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - 1000 * life_s)
    redis.call('ZADD', key, now, id)
    redis.call('EXPIRE', key, life_s)
    while max > 0 and redis.call('ZCARD', key) > max do
      local first = redis.call('ZPOPMIN', key)[1]
      for _, kind in ipairs({ 's:', 'v:' }) do
        -- One that has come back does not end.
        if redis.call('TTL', p .. kind .. first) > tonumber(short_s) then redis.call('EXPIRE', p .. kind .. first, short_s) end
      end
    end
  end
end
local last, missed = 0, {}
if change.reads then
  local id, after = change.reads[1], tonumber(change.reads[2])
  local extent = redis.call('HMGET', p .. 's:' .. id, 'last', 'dropped')
  local dropped = tonumber(extent[2] or '0')
  last = tonumber(extent[1] or '0')
  if after and (after < dropped or after > last) then return 'changed' end
  if after then missed = redis.call('LRANGE', p .. 'e:' .. id, after - dropped, -1) end
end
for _, seen in ipairs(change.seen) do redis.call('HINCRBY', p .. 's:' .. seen[1], 'revision', 1) end
for _, command in ipairs(change.commands) do
  if command[1] == 'keep' then keep(unpack(command, 2)) else redis.call(unpack(command)) end
end
for _, told in ipairs(change.told) do tell(p, told[1], told[2], tonumber(ARGV[4]), tonumber(ARGV[5])) end
if change.answer then record(p, change.answer[1], change.answer[2], change.answer[3], now, tonumber(ARGV[6])) end
local lasts = {}
for n, seen in ipairs(change.seen) do lasts[n] = { seen[1], tonumber(redis.call('HGET', p .. 's:' .. seen[1], 'last') or '0') } end
return { last, missed, lasts }
