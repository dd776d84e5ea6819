-- Stores the copy of a session that is about to come from another shard. `rest` has its fields, results and avoidances, each after
-- the number of values, then the fields and avoidances of its account, if that is not empty: they are added to what the account has here.
-- `bounds` are the further arguments of keep_account. Returns 0, and does nothing, if the session is here already.
if is_fenced(node) then return 'fenced' end
local key = session_key(session)
if redis.call('EXISTS', key) == 1 and (redis.call('HGET', key, 'copied') or '') == '' then return 0 end
local position = 1
local function take_list()
  local from = position + 1
  position = from + tonumber(rest[position])
  return { unpack(rest, from, position - 1) }
end
local fields, results, avoidances = take_list(), take_list(), take_list()
redis.call('DEL', key, results_key(session), avoidances_key(session))
redis.call('HSET', key, unpack(fields))
redis.call('ZADD', due_key(), grace_until, 'grace\n' .. session)
if #results > 0 then
  redis.call('HSET', results_key(session), unpack(results))
  redis.call('EXPIRE', results_key(session), 150)
end
for n = 1, #avoidances, 2 do
  local other, till = avoidances[n], avoidances[n + 1]
  redis.call('ZADD', avoidances_key(session), till, other)
end
if account ~= '' then
  local standing, avoided, bounds = take_list(), take_list(), take_list()
  if #standing > 0 and redis.call('EXISTS', session_key('@' .. account)) == 0 then redis.call('HSET', session_key('@' .. account), unpack(standing)) end
  for n = 1, #avoided, 2 do redis.call('ZADD', avoidances_key('@' .. account), 'GT', avoided[n + 1], avoided[n]) end
  keep_account(account, tonumber(now), unpack(bounds))
end
return 1
