-- Claims up to `max` deadlines that are due: no other node gets them for `claim_ms`. After that they are due again, unless
-- they have been carried out. Returns them, and when the first of all deadlines is due.
if is_fenced(node) then return 'fenced' end
local due = redis.call('ZRANGEBYSCORE', due_key(), '-inf', now, 'LIMIT', 0, max)
for _, deadline in ipairs(due) do redis.call('ZADD', due_key(), tonumber(now) + tonumber(claim_ms), deadline) end
return { due, redis.call('ZRANGE', due_key(), 0, 0, 'WITHSCORES')[2] }
