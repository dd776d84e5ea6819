-- What the scripts share. A node without its lease is fenced off: others have taken over its sessions.
local function is_fenced(id)
  return redis.call('EXISTS', node_key(id)) == 0
end

-- Appends an event to a session's log, if it has one. `messages` collects what is to be published to each node that holds a
-- stream of the session.
local function append_event(messages, id, text, events_max, bytes_max)
  local session, log = session_key(id), log_key(id)
  local fields = redis.call('HMGET', session, 'epoch', 'nodes')
  if not fields[1] then return end
  local last = redis.call('HINCRBY', session, 'last', 1)
  local bytes = redis.call('HINCRBY', session, 'bytes', #text)
  local count = redis.call('RPUSH', log, text)
  while count > events_max or bytes > bytes_max do
    bytes = redis.call('HINCRBY', session, 'bytes', -#redis.call('LPOP', log))
    redis.call('HINCRBY', session, 'dropped', 1)
    count = count - 1
  end
  for holder in string.gmatch(fields[2] or '', '%S+') do
    messages[holder] = (messages[holder] or 'events') .. '\n' .. id .. '\n' .. last .. '\n' .. text
  end
end

local function publish(messages)
  for holder, message in pairs(messages) do redis.call('SPUBLISH', node_channel(holder), message) end
end

-- Records a mutation's result as '<number> <epoch ms> <json>', and now and then forgets all but the newest ones.
local function record_result(id, mutation, result, now, results_max)
  local key = results_key(id)
  local n = redis.call('HINCRBY', session_key(id), 'answered', 1)
  redis.call('HSET', key, mutation, n .. ' ' .. now .. ' ' .. result)
  redis.call('EXPIRE', key, 150)
  if n % results_max > 0 then return end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^%d+')) <= n - results_max then redis.call('HDEL', key, all[i]) end
  end
end
