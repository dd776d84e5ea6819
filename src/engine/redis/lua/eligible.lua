-- The options of a waiting ticket: see eligible_for.lua.
if is_fenced(node) then return 'fenced' end
return eligible_for(session, tonumber(now), tonumber(max))
