-- A waiting ticket, { id, fields }, and its options: see eligible_for.lua. Empty if it does not wait.
if is_fenced(node) then return 'fenced' end
local own = redis.call('HMGET', session_key(session), 'ticket', 'terms')
if not own[1] or not own[2] then return {} end
local found = eligible_for(session, cjson.decode(own[2]), tonumber(now), tonumber(max))
table.insert(found, 1, { session, redis.call('HGETALL', session_key(session)) })
return found
