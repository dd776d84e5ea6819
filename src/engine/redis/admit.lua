-- Counts a handshake and a socket of an address over all nodes. Answers 'in', 'crowded', or after how many
-- milliseconds a handshake is due again. ARGV: prefix, node, address, handshakes per minute, sockets (0: no limit).
local p, node, per_min, sockets = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
if fenced(p, node) then return 'fenced' end
local rate, open = p .. 'rate:' .. ARGV[3], p .. 'open:' .. ARGV[3]
if per_min > 0 then
  local count = redis.call('INCR', rate)
  if count == 1 then redis.call('PEXPIRE', rate, 60000) end
  if count > per_min then return math.max(1, redis.call('PTTL', rate)) end
end
if sockets > 0 then
  local all, sum = redis.call('HGETALL', open), 0
  for i = 1, #all, 2 do
    if fenced(p, all[i]) then redis.call('HDEL', open, all[i]) else sum = sum + tonumber(all[i + 1]) end
  end
  if sum >= sockets then return 'crowded' end
  redis.call('HINCRBY', open, node, 1)
  redis.call('EXPIRE', open, 604800)
end
return 'in'
