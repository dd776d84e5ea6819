-- Everything that a session has besides its log: its fields, recorded results, and whom it avoids until when; then the fields of its
-- account, and whom that avoids.
if is_fenced(node) then return 'fenced' end
local person, account = person_of(session)
return {
  redis.call('HGETALL', session_key(session)),
  redis.call('HGETALL', results_key(session)),
  redis.call('ZRANGE', avoidances_key(session), 0, -1, 'WITHSCORES'),
  account and redis.call('HGETALL', session_key('@' .. account)) or {},
  account and redis.call('ZRANGE', avoidances_key(person), 0, -1, 'WITHSCORES') or {},
}
