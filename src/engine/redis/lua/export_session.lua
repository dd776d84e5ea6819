-- Everything that a session has besides its log: its fields, recorded results, and whom it avoids until when.
if is_fenced(node) then return 'fenced' end
return {
  redis.call('HGETALL', session_key(session)),
  redis.call('HGETALL', results_key(session)),
  redis.call('ZRANGE', avoidances_key(session), 0, -1, 'WITHSCORES'),
}
