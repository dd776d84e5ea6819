-- Sessions that are online, then waiting sessions and rooms of each mode; then the counts of lobbies: of all of them with their fields, or
-- only those of the lobby that is named in `rest`, if there is one (see count_in_lobby.lua).
if is_fenced(node) then return 'fenced' end
local counts, fields = { redis.call('SCARD', online_key()) }, { '\nonline' }
for _, mode in ipairs({ 'video', 'audio', 'text' }) do
  counts[#counts + 1] = redis.call('ZCARD', lobby_key(mode))
  counts[#counts + 1] = redis.call('SCARD', rooms_key(mode))
  fields[#fields + 1] = '\nwaiting ' .. mode
  fields[#fields + 1] = '\nrooms ' .. mode
end
if not rest[1] then return { counts, redis.call('HGETALL', lobby_counts_key()) } end
local of_lobby = {}
for n, field in ipairs(fields) do
  of_lobby[2 * n - 1] = rest[1] .. field
  of_lobby[2 * n] = redis.call('HGET', lobby_counts_key(), rest[1] .. field) or '0'
end
return { counts, of_lobby }
