-- Whether a session avoids another one at a time (epoch milliseconds).
local function avoids(one, other, at)
  local till = redis.call('ZSCORE', avoidances_key(one), other)
  return till and tonumber(till) > at
end
