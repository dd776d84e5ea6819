-- Sessions with their rooms and partners, as they are. ARGV: prefix, node, the first one's mutation or '', ids.
local p, node = ARGV[1], ARGV[2]
if fenced(p, node) then return 'fenced' end
local answer = ARGV[3] ~= '' and redis.call('HGET', p .. 'a:' .. ARGV[4], ARGV[3]) or false
local counts = { redis.call('SCARD', p .. 'online') }
for _, mode in ipairs({ 'video', 'audio', 'text' }) do
  counts[#counts + 1] = redis.call('ZCARD', p .. 'lobby:' .. mode)
  counts[#counts + 1] = redis.call('SCARD', p .. 'rooms:' .. mode)
end
local found, rooms, has = {}, {}, {}
local function add(id)
  if has[id] then return end
  has[id] = true
  found[#found + 1] = { id, redis.call('HGETALL', p .. 's:' .. id) }
  local at = redis.call('HMGET', p .. 's:' .. id, 'room', 'partner')
  if not at[1] then return end
  if not has[at[1]] then
    has[at[1]] = true
    rooms[#rooms + 1] = { at[1], redis.call('HGETALL', p .. 'r:' .. at[1]) }
  end
  add(at[2])
end
for i = 4, #ARGV do add(ARGV[i]) end
return { answer, counts, found, rooms }
