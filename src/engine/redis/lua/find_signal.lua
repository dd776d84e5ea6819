-- Whether a session's log contains a signal with this mutation id (JSON).
if is_fenced(node) then return 'fenced' end
local name = redis.call('HGET', session_key(session), 'name')
if not name then return 0 end
for _, entry in ipairs(redis.call('LRANGE', log_key(session, name), 0, -1)) do
  if string.match(entry, '\t(.*)$') == mutation then return 1 end
end
return 0
