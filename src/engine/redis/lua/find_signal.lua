-- Whether a session's log contains a signal with this mutation id (JSON) and this text, by which a room's signals are known: peers
-- choose their ids themselves, so a signal of another room may have the same one.
if is_fenced(node) then return 'fenced' end
local name = redis.call('HGET', session_key(session), 'name')
if not name then return 0 end
for _, entry in ipairs(redis.call('LRANGE', log_key(session, name), 0, -1)) do
  if string.match(entry, '\t(.*)$') == mutation and string.find(entry, room, 1, true) then return 1 end
end
return 0
