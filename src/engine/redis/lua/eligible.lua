-- A waiting ticket, { id, fields }, and its options: see eligible_for.lua. Empty if it does not wait.
if is_fenced(node) then return 'fenced' end
local own = redis.call('HMGET', session_key(session), 'ticket', 'terms', 'account', 'fit')
if (own[1] or '') == '' or (own[2] or '') == '' then return {} end
local account = (own[3] or '') ~= '' and own[3] or nil
local person, terms = account and '@' .. account or session, cjson.decode(own[2])
local found = eligible_for(session, person, terms, tonumber(now), tonumber(max), own[4] or '')
table.insert(found, 1, { session, fields_of(session, account) })
return found
