-- Takes deadlines that are due: for `lease_ms` nobody else does, and after that somebody must again, unless they
-- have been carried out. ARGV: prefix, node, now, lease_ms, max.
local p, now = ARGV[1], tonumber(ARGV[3])
if fenced(p, ARGV[2]) then return 'fenced' end
local due = redis.call('ZRANGEBYSCORE', p .. 'due', '-inf', now, 'LIMIT', 0, ARGV[5])
for _, deadline in ipairs(due) do redis.call('ZADD', p .. 'due', now + tonumber(ARGV[4]), deadline) end
return { due, redis.call('ZRANGE', p .. 'due', 0, 0, 'WITHSCORES')[2] }
