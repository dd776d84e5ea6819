-- A session's log is a list whose key contains a number, its `name`. A node that has once been told where a member's partner has
-- its log appends to it by that name without any check (relay_signals.lua). Whenever such a node would go wrong (the room has
-- ended, the partner's streams are on other nodes, the sender was taken over, the oldest entries were dropped) the list is
-- renamed, and the append finds nothing. Offsets are counted by the length of the list: the last one is `dropped` + length.

-- The list has more entries than a log by so many at most, so that not every append drops one.
local slack = 64
-- The bytes are looked at when so many entries were added, or one that has so many bytes.
local step, large = 16, 1024

local function are_bytes_due(length, entries)
  if math.floor(length / step) > math.floor((length - #entries) / step) then return true end
  for _, entry in ipairs(entries) do
    if #entry > large then return true end
  end
  return false
end

-- How many of the oldest entries have to go, after `entries` were appended.
local function excess(key, length, entries, events_max, bytes_max)
  local drop = length > events_max + slack and length - events_max or 0
  if not are_bytes_due(length, entries) then return drop end
  local bytes = redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  if bytes <= bytes_max then return drop end
  local all = redis.call('LRANGE', key, 0, -1)
  bytes = 0
  for n = #all, 1, -1 do
    bytes = bytes + #all[n]
    if bytes > bytes_max then return math.max(drop, n) end
  end
  return drop
end

-- Adds entries to what is published to each node that holds a stream of the session, beside this one.
local function address(messages, holders, id, first, entries)
  for holder in string.gmatch(holders or '', '%S+') do
    if holder ~= node then
      local message = messages[holder] or { 'events' }
      messages[holder] = message
      for n, entry in ipairs(entries) do
        message[#message + 1] = id
        message[#message + 1] = string.format('%d', first + n - 1)
        message[#message + 1] = entry
      end
    end
  end
end

local function publish(messages)
  for holder, message in pairs(messages) do
    redis.call('SPUBLISH', node_channel(holder), table.concat(message, '\n'))
  end
end
