-- Replaces a session by a pointer to the shard that has its copy. `rest` has the keys of the lists that its ticket is in. Returns 0, and does
-- nothing, if it is no longer as it was copied.
if is_fenced(node) then return 'fenced' end
local key = session_key(session)
local fields = redis.call('HMGET', key, 'revision', 'answered', 'name')
if fields[1] ~= revision or (fields[2] or '0') ~= answered then return 0 end
for _, list in ipairs(rest) do redis.call('ZREM', list, session) end
redis.call('ZREM', due_key(), relaxation)
redis.call('SREM', online_key(), session)
redis.call('SREM', node_sessions_key(node), session)
redis.call('DEL', key, log_key(session, fields[3] or ''), results_key(session), avoidances_key(session))
redis.call('SET', moved_key(session), to, 'EX', life_s)
return 1
