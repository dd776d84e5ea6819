-- Carries out a change (see Commit in transaction.ts, which also says how it is written as arguments) if everything that it was derived
-- from is still as it was. Returns { 'committed', … } (see Committed in scripts.ts), { 'carried out' } if another node has carried out
-- its deadline, { 'full' } if there is no room for its standing offer, { 'blocked', … } with two persons who were to meet again though one has blocked the other, { 'moved' } if one of the sessions is in another shard, or { 'changed', … } with the sessions as they are, also if its
-- mutation has a result already.
if is_fenced(node) then return 'fenced' end
now, events_max, bytes_max = tonumber(now), tonumber(events_max), tonumber(bytes_max)
local position = first_argument
local function take()
  position = position + 1
  return ARGV[position - 1]
end
-- Where in ARGV a list begins and ends that is preceded by its length.
local function take_range()
  local from = position + 1
  position = from + tonumber(ARGV[position])
  return from, position - 1
end
local ids_from, ids_to = take_range()
local function changed() return { 'changed', sessions_as_they_are({ unpack(ARGV, ids_from, ids_to) }, mutation, pairing_at, account) } end
if mutation ~= '' then
  local recorded = redis.call('HGET', results_key(ARGV[ids_from]), mutation)
  local at = recorded and tonumber(string.match(recorded, '^%d+ (%d+)'))
  if at and at > tonumber(recorded_since) then return changed() end
end
local sessions = {}
for n = 1, tonumber(take()) do
  local one = { id = take(), revision = take(), log = take(), flags = take(), holders = take() }
  one.set_from, one.set_to = take_range()
  one.entries = { unpack(ARGV, take_range()) }
  if string.find(one.flags, 'a', 1, true) then
    one.account, one.version = take(), take()
    one.account_from, one.account_to = take_range()
    if (redis.call('HGET', session_key('@' .. one.account), 'version') or '0') ~= one.version then return changed() end
  end
  local fields = redis.call('HMGET', session_key(one.id), 'revision', 'name', 'dropped', 'nodes', 'epoch', 'answered', 'mark')
  if (fields[1] or '0') ~= one.revision then return changed() end
  -- A session that was moved must not begin anew where it was.
  if not fields[1] and redis.call('EXISTS', moved_key(one.id)) == 1 then return { 'moved' } end
  one.name, one.dropped = fields[2], tonumber(fields[3] or '0')
  if not string.find(one.flags, 'h', 1, true) then one.holders = fields[4] end
  one.has_log, one.answered, one.mark = (fields[5] or '') ~= '', tonumber(fields[6] or '0'), tonumber(fields[7] or '0')
  sessions[n] = one
end
-- Another session of an account may have come to avoid somebody, and no revision of these two tells.
if pairing_at ~= '' and (sessions[1].account or sessions[2].account) then
  local one, other = person_of(ARGV[ids_from]), person_of(ARGV[ids_from + 1])
  if must_not_meet(one, other, tonumber(pairing_at)) then return changed() end
end
local due_from, due_to = take_range()
for n = due_from, due_to do
  if not redis.call('ZSCORE', due_key(), ARGV[n]) then return { 'carried out' } end
end
-- Two who meet again do so in spite of a cooldown: only what never ends is later than this.
local unblocked_from, unblocked_to = take_range()
for n = unblocked_from, unblocked_to, 2 do
  if must_not_meet(ARGV[n], ARGV[n + 1], 1e300) then return { 'blocked', ARGV[n], ARGV[n + 1] } end
end
local standing_from, standing_to = take_range()
local standing = standing_to > standing_from and { unpack(ARGV, standing_from, standing_to) } or nil
if standing and is_standing_full(standing[3], standing[4], unpack(standing, 5)) then return { 'full' } end
local last, missed = 0, {}
local reads, after = take(), tonumber(take())
if reads ~= '' then
  local fields = redis.call('HMGET', session_key(reads), 'name', 'dropped')
  local dropped = tonumber(fields[2] or '0')
  last = dropped + (fields[1] and redis.call('LLEN', log_key(reads, fields[1])) or 0)
  if after and (after < dropped or after > last) then return changed() end
  if after then missed = redis.call('LRANGE', log_key(reads, fields[1]), after - dropped, -1) end
end

-- The counts in an event are those before the change, and what it adds; a standing offer in it is that before the change.
for _, one in ipairs(sessions) do
  for n, entry in ipairs(one.entries) do
    local mode, waiting, online, lobby, format = string.match(entry, '^#(%a+) (%d+) (%d+) ([^\n]*)\n(.*)$')
    if mode then
      one.has_counts = true
      local counted = redis.call('HMGET', lobby_counts_key(), lobby .. '\nwaiting ' .. mode, lobby .. '\nonline')
      local tickets, sessions_online = tonumber(counted[1] or '0'), tonumber(counted[2] or '0')
      if lobby == '' then
        tickets = redis.call('ZCARD', lobby_key(mode)) - tickets
        sessions_online = redis.call('SCARD', online_key()) - sessions_online
      end
      one.entries[n] = string.format(format, tickets + waiting, sessions_online + online)
    end
    local owner, text = string.match(entry, '^@([^\n]*)\n(.*)$')
    if owner then
      local offer = redis.call('GET', standing_offer_key(owner))
      one.has_offer, one.entries[n] = true, offer and string.sub(text, 1, -3) .. ',"offer":' .. offer .. '}]' or text
    end
  end
end
for _ = 1, tonumber(take()) do
  local from, to = take_range()
  if ARGV[from] == 'keep_blocker' then keep_blocker(ARGV[from + 1], now, unpack(ARGV, from + 2, to))
  elseif ARGV[from] == 'keep_account' then keep_account(ARGV[from + 1], now, unpack(ARGV, from + 2, to))
  elseif ARGV[from] == 'count_in_lobby' then count_in_lobby(unpack(ARGV, from + 1, to))
  elseif ARGV[from] == 'drop_standing' then drop_standing(unpack(ARGV, from + 1, to))
  elseif ARGV[from] == 'tell' then tell(unpack(ARGV, from + 1, to))
  elseif ARGV[from] == 'give_place' then give_place(ARGV[from + 1], ARGV[from + 2], ARGV[from + 3], { unpack(ARGV, from + 4, to) })
  elseif ARGV[from] == 'take_place' then take_place(ARGV[from + 1], ARGV[from + 2], { unpack(ARGV, from + 3, to) })
  else redis.call(unpack(ARGV, from, to)) end
end
if standing then keep_standing(standing[1], standing[3], standing[4], standing[2]) end

local messages, stored = {}, {}
-- Changes a session's fields and log. Returns { id, offset of the last event, the entries if they were completed here }.
local function store(one)
  local set, name, count, length = { unpack(ARGV, one.set_from, one.set_to) }, one.name, #one.entries, 0
  local function put(field, value) set[#set + 1], set[#set + 2] = field, value end
  if one.log == 'begins' or one.log == 'ends' then
    if name then redis.call('DEL', log_key(one.id, name)) end
    -- No name is ever used twice, also after this session was forgotten: it is renamed less often than once in a millisecond.
    name = string.format('%d', math.max(now, tonumber(name or '0') + 1))
    put('name', name)
    put('dropped', 0)
    put('mark', 0)
    one.dropped, one.mark, one.has_log = 0, 0, one.log == 'begins'
  end
  if not one.has_log then count = 0 end
  if count > 0 then
    local list = log_key(one.id, name)
    length = redis.call('RPUSH', list, unpack(one.entries))
    address(messages, one.holders, one.id, one.dropped + length - count, one.entries, 1, count)
    local is_due = are_bytes_due(length, one.entries, 1, count) or is_long(length, events_max)
    local drop = is_due and excess(list, length, events_max, bytes_max) or 0
    -- The session enters the lobby: as event-log.ts, it drops what came before its latest room. A mark from an earlier life of
    -- the log may be beyond its end.
    if one.has_counts then drop = math.max(drop, math.min(one.mark - 1 - one.dropped, length - count)) end
    if drop > 0 then
      redis.call('LTRIM', list, drop, -1)
      one.dropped, length, one.log = one.dropped + drop, length - drop, 'renamed'
      put('dropped', one.dropped)
    end
  end
  local last = one.dropped + length
  if one.log == 'renamed' and name then
    local following = string.format('%d', name + 1)
    if count > 0 or redis.call('EXISTS', log_key(one.id, name)) == 1 then
      redis.call('RENAME', log_key(one.id, name), log_key(one.id, following))
    end
    put('name', following)
  end
  if string.find(one.flags, 'm', 1, true) then put('mark', last) end
  if record ~= '' and recorder == one.id then put('answered', one.answered + 1) end
  if string.find(one.flags, 'c', 1, true) then put('revision', one.revision + 1) end
  if #set > 0 then redis.call('HSET', session_key(one.id), unpack(set)) end
  return { one.id, count > 0 and last or 0, (one.has_counts or one.has_offer) and one.entries or false }
end
-- Changes what the account of a session has. Without any session that has a stream it expires, like the session.
local function store_account(one)
  local key, set = session_key('@' .. one.account), { unpack(ARGV, one.account_from, one.account_to) }
  set[#set + 1], set[#set + 2] = 'version', one.version + 1
  redis.call('HSET', key, unpack(set))
  if redis.call('TTL', key) == -1 and redis.call('SCARD', account_sessions_key(one.account)) == 0 then
    redis.call('EXPIRE', key, account_s)
  end
end
for n, one in ipairs(sessions) do
  stored[n] = store(one)
  if one.account and one.account_to >= one.account_from then store_account(one) end
end
publish(messages)

-- A result is recorded as '<number> <epoch ms> <json>'; now and then those are forgotten that are too old or too many.
if record ~= '' then
  local key, number = results_key(recorder), 0
  for _, one in ipairs(sessions) do
    if one.id == recorder then number = one.answered + 1 end
  end
  redis.call('HSET', key, recorded_as, string.format('%d %d %s', number, now, record))
  redis.call('EXPIRE', key, 150)
  if number % 16 == 0 then
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
      local n, at = string.match(all[i + 1], '^(%d+) (%d+)')
      local is_due = tonumber(n) <= number - results_max or tonumber(at) <= tonumber(recorded_since)
      if is_due then redis.call('HDEL', key, all[i]) end
    end
  end
end
local options = {}
for n = 1, tonumber(take()) do
  local id, own, fit = take(), take(), take()
  options[n] = eligible_for(id, own, { unpack(ARGV, take_range()) }, now, tonumber(eligible_max), fit)
end
return { 'committed', last, missed, stored, options }
