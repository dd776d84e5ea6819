-- Replaces a session by a pointer to the shard that has its copy. `lobby` is the one that it is in, `tickets` that of its ticket, either
-- empty for the one that is always there; `mode` that of its ticket, or empty without any. `rest` has the keys of the lists that its ticket is in, after their
-- number, then the further arguments of keep_account if it has an account. Returns 0, and does nothing, if it is no longer as it was copied.
if is_fenced(node) then return 'fenced' end
local key = session_key(session)
local fields = redis.call('HMGET', key, 'revision', 'answered', 'name', 'fit', 'standby')
if fields[1] ~= revision or (fields[2] or '0') ~= answered then return 0 end
local lists = tonumber(rest[1])
for n = 2, lists + 1 do redis.call('ZREM', rest[n], session) end
if (fields[4] or '') ~= '' then take_place(session, fields[4], { unpack(rest, 2, lists + 1) }) end
local bytes, address = string.match(fields[5] or '', '^(%d+) (.*)$')
if bytes then drop_standing(session, address, bytes) end
redis.call('ZREM', due_key(), relaxation)
redis.call('SREM', online_key(), session)
if lobby ~= '' then count_in_lobby(lobby, 'online', -1) end
if mode ~= '' and tickets ~= '' then count_in_lobby(tickets, 'waiting ' .. mode, -1) end
redis.call('SREM', node_sessions_key(node), session)
redis.call('DEL', key, log_key(session, fields[3] or ''), results_key(session), avoidances_key(session))
redis.call('SET', moved_key(session), to, 'EX', life_s)
if account ~= '' then
  redis.call('SREM', account_sessions_key(account), session)
  keep_account(account, tonumber(now), unpack(rest, lists + 2))
end
return 1
