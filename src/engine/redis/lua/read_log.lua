-- A session's log after an offset: its epoch, the session's generation, the offset of the last dropped event, the texts.
if is_fenced(node) then return 'fenced' end
local fields = redis.call('HMGET', session_key(session), 'epoch', 'generation', 'dropped')
local dropped = tonumber(fields[3] or '0')
after = tonumber(after)
local texts = after >= dropped and redis.call('LRANGE', log_key(session), after - dropped, -1) or {}
return { fields[1], fields[2], dropped, texts }
