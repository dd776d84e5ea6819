-- About `count` of the sessions with an open stream from `cursor` on: the next cursor, '0' at the end, and those whose id begins with `letters`
-- and who are in the room `room`, unless that is empty.
if is_fenced(node) then return 'fenced' end
local reply, found = redis.call('SSCAN', online_key(), cursor, 'COUNT', count), {}
for _, id in ipairs(reply[2]) do
  if string.sub(id, 1, #letters) == letters and (room == '' or redis.call('HGET', session_key(id), 'in') == room) then
    found[#found + 1] = id
  end
end
return { reply[1], found }
