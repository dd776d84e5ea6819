-- Which life of the data this is: another one begins when it has another history (replication id), for what was
-- acknowledged may be lost. All nodes are fenced off then, and all logs begin new epochs. ARGV: prefix, replid.
local p = ARGV[1]
if redis.call('GET', p .. 'history') ~= ARGV[2] then
  redis.call('SET', p .. 'history', ARGV[2])
  redis.call('INCR', p .. 'era')
  for _, node in ipairs(redis.call('ZRANGE', p .. 'nodes', 0, -1)) do redis.call('DEL', p .. 'node:' .. node) end
end
return redis.call('GET', p .. 'era')
