-- Sessions that are online, then waiting sessions and rooms of each mode.
if is_fenced(node) then return 'fenced' end
local counts = { redis.call('SCARD', online_key()) }
for _, mode in ipairs({ 'video', 'audio', 'text' }) do
  counts[#counts + 1] = redis.call('ZCARD', lobby_key(mode))
  counts[#counts + 1] = redis.call('SCARD', rooms_key(mode))
end
return counts
