-- The sessions `rest`: see sessions_as_they_are.lua.
if is_fenced(node) then return 'fenced' end
return sessions_as_they_are(rest, mutation, pairing_at, account)
