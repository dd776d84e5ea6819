-- A session's log after an offset: its epoch, the session's generation, the offset of the last dropped event, the entries.
if is_fenced(node) then return 'fenced' end
local fields = redis.call('HMGET', session_key(session), 'epoch', 'generation', 'name', 'dropped')
if not fields[1] then return { false, fields[2], 0, {} } end
local key, dropped = log_key(session, fields[3]), tonumber(fields[4] or '0')
local oldest = math.max(dropped, dropped + redis.call('LLEN', key) - tonumber(events_max))
after = tonumber(after)
local entries = after >= oldest and redis.call('LRANGE', key, after - dropped, -1) or {}
return { fields[1], fields[2], oldest, entries }
