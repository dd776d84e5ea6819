-- A person with the account blocks another one here too, where its later sessions may be. `rest` has the further arguments of
-- keep_account.
if is_fenced(node) then return 'fenced' end
local key = avoidances_key('@' .. account)
redis.call('ZADD', key, 'GT', '+inf', other)
redis.call('ZREMRANGEBYRANK', key, 0, -avoids_max - 1)
keep_account(account, tonumber(now), unpack(rest))
return 1
