-- The sessions `ids` and their partners as they are, each { id, fields, entries in its log }, and the recorded result of the first one's
-- `mutation`, if that is not empty. `account_of_first` is the account of the first one if that is not stored, or empty. With a time `pairing_at` also whether the first two must not meet then. See SessionsRead in
-- scripts.ts.
local function sessions_as_they_are(ids, mutation, pairing_at, account_of_first)
  local recorded = mutation ~= '' and redis.call('HGET', results_key(ids[1]), mutation) or false
  local sessions, has = {}, {}
  local function add(id)
    if has[id] then return end
    has[id] = true
    local head = redis.call('HMGET', session_key(id), 'partner', 'name', 'account')
    local account = head[3] or ''
    if account == '' and id == ids[1] then account = account_of_first end
    local length = head[2] and redis.call('LLEN', log_key(id, head[2])) or 0
    sessions[#sessions + 1] = { id, fields_of(id, account ~= '' and account or nil), length }
    if (head[1] or '') ~= '' then add(head[1]) end
  end
  for _, id in ipairs(ids) do add(id) end
  local at = tonumber(pairing_at)
  local avoiding = at and must_not_meet(person_of(ids[1]), (person_of(ids[2])), at)
  return { recorded, sessions, avoiding and 1 or 0 }
end
