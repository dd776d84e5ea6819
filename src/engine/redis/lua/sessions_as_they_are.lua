-- The sessions `ids` and their partners as they are, each { id, fields, entries in its log }, and the recorded result of the first one's
-- `mutation`, if that is not empty. With a time `pairing_at` also whether the first two avoid each other then. See SessionsRead in
-- scripts.ts.
local function sessions_as_they_are(ids, mutation, pairing_at)
  local recorded = mutation ~= '' and redis.call('HGET', results_key(ids[1]), mutation) or false
  local sessions, has = {}, {}
  local function add(id)
    if has[id] then return end
    has[id] = true
    local head = redis.call('HMGET', session_key(id), 'partner', 'name')
    local length = head[2] and redis.call('LLEN', log_key(id, head[2])) or 0
    sessions[#sessions + 1] = { id, redis.call('HGETALL', session_key(id)), length }
    if head[1] then add(head[1]) end
  end
  for _, id in ipairs(ids) do add(id) end
  local at = tonumber(pairing_at)
  local avoiding = at and (avoids(ids[1], ids[2], at) or avoids(ids[2], ids[1], at))
  return { recorded, sessions, avoiding and 1 or 0 }
end
