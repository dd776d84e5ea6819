-- Counts a handshake and a socket of an address over all nodes. Returns 'admitted', 'crowded' for too many sockets, or the
-- milliseconds until the next handshake is allowed. A limit of 0 is none. `own_sockets`: those of this node, with this one. The counts of the
-- node expire after `life_ms`, which each heartbeat renews: it may die before the first one.
handshakes_per_min, sockets_max = tonumber(handshakes_per_min), tonumber(sockets_max)
if is_fenced(node) then return 'fenced' end
if handshakes_per_min > 0 then
  local key = handshakes_key(address)
  local count = redis.call('INCR', key)
  if count == 1 then redis.call('PEXPIRE', key, 60000) end
  if count > handshakes_per_min then return math.max(1, redis.call('PTTL', key)) end
end
if sockets_max > 0 then
  local sum = tonumber(own_sockets)
  for _, other in ipairs(redis.call('ZRANGE', nodes_key(), 0, -1)) do
    if other ~= node and not is_fenced(other) then
      sum = sum + tonumber(redis.call('HGET', sockets_key(other), address) or '0')
    end
  end
  if sum > sockets_max then return 'crowded' end
  redis.call('HSET', sockets_key(node), address, own_sockets)
  redis.call('PEXPIRE', sockets_key(node), life_ms)
end
return 'admitted'
