-- What the scripts share. Every key begins with the prefix `p`.
local function fenced(p, node)
  return redis.call('EXISTS', p .. 'node:' .. node) == 0
end

-- Appends an event to a session's log, if it has one, and sends it to the nodes that hold its streams.
local function tell(p, id, event, events_max, bytes_max)
  local session, log = p .. 's:' .. id, p .. 'e:' .. id
  local kept = redis.call('HMGET', session, 'epoch', 'nodes')
  if not kept[1] then return end
  local last = redis.call('HINCRBY', session, 'last', 1)
  local bytes = redis.call('HINCRBY', session, 'bytes', #event)
  local count = redis.call('RPUSH', log, event)
  while count > events_max or bytes > bytes_max do
    bytes = redis.call('HINCRBY', session, 'bytes', -#redis.call('LPOP', log))
    redis.call('HINCRBY', session, 'dropped', 1)
    count = count - 1
  end
  for node in string.gmatch(kept[2] or '', '%S+') do
    redis.call('PUBLISH', p .. 'n:' .. node, id .. '\n' .. last .. '\n' .. event)
  end
end

-- Records a mutation's answer, and forgets all but the newest `answers_max` now and then.
local function record(p, id, mutation, answer, now, answers_max)
  local key = p .. 'a:' .. id
  local n = redis.call('HINCRBY', p .. 's:' .. id, 'answered', 1)
  redis.call('HSET', key, mutation, n .. ' ' .. now .. ' ' .. answer)
  redis.call('EXPIRE', key, 150)
  if n % answers_max > 0 then return end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^%d+')) <= n - answers_max then redis.call('HDEL', key, all[i]) end
  end
end
