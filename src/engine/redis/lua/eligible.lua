-- A waiting ticket, { id, fields }, and its options: see eligible_for.lua. Empty if it does not wait.
if is_fenced(node) then return 'fenced' end
local own = redis.call('HMGET', session_key(session), 'ticket', 'terms', 'account')
if (own[1] or '') == '' or (own[2] or '') == '' then return {} end
local found = eligible_for(session, cjson.decode(own[2]), tonumber(now), tonumber(max))
local account = (own[3] or '') ~= '' and own[3] or nil
table.insert(found, 1, { session, fields_of(session, account) })
return found
