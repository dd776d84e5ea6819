-- Prolongs a node's lease, or begins it. Answers the nodes whose lease has ended, each with its last beat (epoch
-- milliseconds), and the first deadline. ARGV: prefix, node, now, lease_ms, '1' to begin, what is to be
-- known of this node.
local p, node = ARGV[1], ARGV[2]
if ARGV[5] == '1' then redis.call('SET', p .. 'node:' .. node, ARGV[6], 'PX', ARGV[4])
elseif redis.call('PEXPIRE', p .. 'node:' .. node, ARGV[4]) == 0 then return 'fenced' end
redis.call('ZADD', p .. 'nodes', ARGV[3], node)
-- Nobody reads the counts of a node whose lease has ended; they need not stay for long.
redis.call('PEXPIRE', p .. 'sockets:' .. node, 10 * ARGV[4])
local gone, all = {}, redis.call('ZRANGE', p .. 'nodes', 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  if fenced(p, all[i]) then
    gone[#gone + 1] = { all[i], all[i + 1] }
  end
end
return { gone, redis.call('ZRANGE', p .. 'due', 0, 0, 'WITHSCORES')[2] }
