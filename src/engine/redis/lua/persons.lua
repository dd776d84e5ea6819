-- Who avoids and is avoided: an account with all its sessions, or a session without one (see `personOf`).
local function person_of(session)
  local account = redis.call('HGET', session_key(session), 'account') or ''
  if account == '' then return session, nil end
  return '@' .. account, account
end
-- A session's fields, with those of its account.
local function fields_of(session, account)
  local fields = redis.call('HGETALL', session_key(session))
  if not account then return fields end
  for _, text in ipairs(redis.call('HGETALL', session_key('@' .. account))) do fields[#fields + 1] = text end
  return fields
end
-- Whether a person avoids another one at a time (epoch milliseconds).
local function avoids(one, other, at)
  local till = redis.call('ZSCORE', avoidances_key(one), other)
  return till and tonumber(till) > at
end
local function must_not_meet(one, other, at) return one == other or avoids(one, other, at) or avoids(other, one, at) end
