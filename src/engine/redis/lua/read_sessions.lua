-- The sessions `rest` with their rooms and partners, as they are, and the recorded result of the first one's `mutation`,
-- if that is not empty. With a time `pairing_at` also whether the first two avoid each other then. See SessionsRead in scripts.ts.
if is_fenced(node) then return 'fenced' end
local recorded = mutation ~= '' and redis.call('HGET', results_key(rest[1]), mutation) or false
local counts = {}
-- The events of a pairing contain no counts.
if pairing_at == '' then
  counts[1] = redis.call('SCARD', online_key())
  for _, mode in ipairs({ 'video', 'audio', 'text' }) do
    counts[#counts + 1] = redis.call('ZCARD', lobby_key(mode))
    counts[#counts + 1] = redis.call('SCARD', rooms_key(mode))
  end
end
local sessions, rooms, has = {}, {}, {}
local function add(id)
  if has[id] then return end
  has[id] = true
  sessions[#sessions + 1] = { id, redis.call('HGETALL', session_key(id)) }
  local fields = redis.call('HMGET', session_key(id), 'room', 'partner')
  local room, partner = fields[1], fields[2]
  if not room then return end
  if not has[room] then
    has[room] = true
    rooms[#rooms + 1] = { room, redis.call('HGETALL', room_key(room)) }
  end
  add(partner)
end
for _, id in ipairs(rest) do add(id) end
local at = tonumber(pairing_at)
local avoiding = at and (avoids(rest[1], rest[2], at) or avoids(rest[2], rest[1], at))
return { recorded, counts, sessions, rooms, avoiding and 1 or 0 }
