-- Appends signals to the logs of their senders' partners. The arguments from the first further one on are groups of signals, each from one
-- sender in one room: who ('session generation room', separated by line feeds), the partner and the name of its log if they are
-- known, the offset of the last dropped event of that log, the other nodes that hold streams of the partner, the number of signals, and
-- these. A signal ends with a TAB and its mutation id in JSON, if it has one. Returns for each group: the length of the log if all were
-- appended to it by its name; else what was found out (see Relayed in scripts.ts).
if is_fenced(node) then return 'fenced' end
events_max, bytes_max = tonumber(events_max), tonumber(bytes_max)
local messages = {}

-- Appends what is not in the partner's log yet. The log is renamed, so that nothing comes after this that was sent to it elsewhere.
local function check_and_append(who, signals)
  local session, generation, room = string.match(who, '^(.*)\n(%d+)\n(.*)$')
  local sender = redis.call('HMGET', session_key(session), 'generation', 'in', 'partner')
  if not sender[1] then return { 'unknown session' } end
  if tonumber(generation) < tonumber(sender[1]) then return { 'taken-over' } end
  if sender[2] ~= room then return { 'another room' } end
  if #signals == 0 then return { 'delivered', sender[3], '', 0, 0, '', {} } end
  local partner = sender[3]
  local fields = redis.call('HMGET', session_key(partner), 'name', 'dropped', 'mark', 'nodes', 'epoch')
  -- The log is of a life of the data before this one (see data_epoch.lua). It continues in a new epoch once the partner is attached
  -- again, and what is appended until then would not be delivered.
  if string.match(fields[5] or '', '[^-]*$') ~= redis.call('GET', data_epoch_key()) then return { 'log of another life' } end
  local name, dropped, holders = fields[1], tonumber(fields[2] or '0'), fields[4] or ''
  local has, ids = {}, {}
  for _, entry in ipairs(redis.call('LRANGE', log_key(partner, name), math.max(0, tonumber(fields[3] or '0') - dropped), -1)) do
    local id = string.match(entry, '\t(.*)$')
    if id then has[id], ids[#ids + 1] = true, id end
  end
  local added = {}
  for _, signal in ipairs(signals) do
    local id = string.match(signal, '\t(.*)$')
    if not id or not has[id] then added[#added + 1] = signal end
    if id then has[id] = true end
  end
  local list, length = log_key(partner, name), 0
  if #added > 0 then length = redis.call('RPUSH', list, unpack(added)) else length = redis.call('LLEN', list) end
  address(messages, holders, partner, dropped + length - #added, added, 1, #added)
  local drop = 0
  if are_bytes_due(length, added, 1, #added) or is_long(length, events_max) then drop = excess(list, length, events_max, bytes_max) end
  if drop > 0 then redis.call('LTRIM', list, drop, -1) end
  local following = string.format('%d', name + 1)
  redis.call('RENAME', list, log_key(partner, following))
  redis.call('HSET', session_key(partner), 'name', following, 'dropped', dropped + drop)
  return { 'delivered', partner, following, dropped + drop, dropped + length, holders, ids }
end

local results, n = {}, first_argument
while n <= #ARGV do
  local who, partner, name, dropped, holders = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3], ARGV[n + 4]
  local first, count = n + 6, tonumber(ARGV[n + 5])
  n = first + count
  local length = 0
  if name ~= '' then length = redis.call('RPUSHX', log_key(partner, name), unpack(ARGV, first, n - 1)) end
  if length == 0 then
    results[#results + 1] = check_and_append(who, { unpack(ARGV, first, n - 1) })
  else
    results[#results + 1] = length
    if holders ~= '' then address(messages, holders, partner, dropped + length - count, ARGV, first, n - 1) end
    if are_bytes_due(length, ARGV, first, n - 1) or is_long(length, events_max) then
      local list = log_key(partner, name)
      local drop = excess(list, length, events_max, bytes_max)
      if drop > 0 then
        local following = string.format('%d', name + 1)
        redis.call('LTRIM', list, drop, -1)
        redis.call('RENAME', list, log_key(partner, following))
        redis.call('HSET', session_key(partner), 'name', following, 'dropped', dropped + drop)
        results[#results] = { 'delivered', partner, following, dropped + drop, dropped + length, holders, {} }
      end
    end
  end
end
publish(messages)
return results
