-- A session's log after an offset. ARGV: prefix, node, session, offset.
local p, id = ARGV[1], ARGV[3]
if fenced(p, ARGV[2]) then return 'fenced' end
local kept = redis.call('HMGET', p .. 's:' .. id, 'epoch', 'generation', 'dropped')
local dropped = tonumber(kept[3] or '0')
local after = tonumber(ARGV[4])
local events = after >= dropped and redis.call('LRANGE', p .. 'e:' .. id, after - dropped, -1) or {}
return { kept[1], kept[2], dropped, events }
