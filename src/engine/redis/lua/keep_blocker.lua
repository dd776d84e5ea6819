-- Keeps a person that has blocked another one for as long as a token is valid. Past the bounds, in total and of one address, the one
-- that went first is kept only as long as any other session.
local function keep_blocker(id, now, address_hash, life_s, short_s, max, max_per_address)
  local indexes = { { blockers_key(), max } }
  if address_hash ~= '' then indexes[2] = { blockers_at_key(address_hash), max_per_address } end
  for _, key in ipairs({ session_key(id), avoidances_key(id) }) do redis.call('EXPIRE', key, life_s) end
  for _, index in ipairs(indexes) do
    local key, bound = index[1], tonumber(index[2])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - 1000 * life_s)
    redis.call('ZADD', key, now, id)
    redis.call('EXPIRE', key, life_s)
    while bound > 0 and redis.call('ZCARD', key) > bound do
      local first = redis.call('ZPOPMIN', key)[1]
      for _, kept in ipairs({ session_key(first), avoidances_key(first) }) do
        -- The keys of one that has come back do not expire.
        if redis.call('TTL', kept) > tonumber(short_s) then redis.call('EXPIRE', kept, short_s) end
      end
    end
  end
end
-- What an account has here is kept for a while if none of its sessions has a stream: see keep_blocker.
local function keep_account(account, now, address_hash, life_s, short_s, max, max_per_address)
  if redis.call('SCARD', account_sessions_key(account)) > 0 then return end
  local id = '@' .. account
  -- The last one to end: that of a block never does.
  if redis.call('ZRANGE', avoidances_key(id), -1, -1, 'WITHSCORES')[2] == 'inf' then
    return keep_blocker(id, now, address_hash, life_s, short_s, max, max_per_address)
  end
  for _, key in ipairs({ session_key('@' .. account), avoidances_key(id) }) do redis.call('EXPIRE', key, short_s) end
end
