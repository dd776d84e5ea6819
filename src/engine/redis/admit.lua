-- Counts a handshake and a socket of an address over all nodes. Answers 'in', 'crowded', or after how many
-- milliseconds a handshake is due again. ARGV: prefix, node, address, handshakes per minute and sockets at a time
-- (0: no limit), sockets that this node has with this one.
local p, node, address, per_min, sockets = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if fenced(p, node) then return 'fenced' end
local rate = p .. 'rate:' .. address
if per_min > 0 then
  local count = redis.call('INCR', rate)
  if count == 1 then redis.call('PEXPIRE', rate, 60000) end
  if count > per_min then return math.max(1, redis.call('PTTL', rate)) end
end
local sum = tonumber(ARGV[6])
if sockets > 0 then
  for _, other in ipairs(redis.call('ZRANGE', p .. 'nodes', 0, -1)) do
    if other ~= node and not fenced(p, other) then
      sum = sum + tonumber(redis.call('HGET', p .. 'sockets:' .. other, address) or '0')
    end
  end
  if sum > sockets then return 'crowded' end
  redis.call('HSET', p .. 'sockets:' .. node, address, ARGV[6])
end
return 'in'
