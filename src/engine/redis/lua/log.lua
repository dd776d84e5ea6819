-- A session's log is a list whose key contains a number, its `name`. A node that has once been told where a member's partner has
-- its log appends to it by that name without any check (relay_signals.lua). Whenever such a node would go wrong (the room has
-- ended, the partner's streams are on other nodes, the sender was taken over, the oldest entries were dropped) the list is
-- renamed, and the append finds nothing. Offsets are counted by the length of the list: the last one is `dropped` + length.

-- The list has more entries than a log by so many at most, so that not every append drops one.
local slack = 64
-- The bytes are looked at when so many entries were added, or one that has so many bytes.
local step, large = 16, 1024

local function is_long(length, events_max) return length > events_max + slack end

-- After `entries` from one index to another were appended.
local function are_bytes_due(length, entries, from, to)
  if length % step <= to - from then return true end
  for n = from, to do
    if #entries[n] > large then return true end
  end
  return false
end

-- How many of the oldest entries have to go.
local function excess(key, length, events_max, bytes_max)
  local drop = is_long(length, events_max) and length - events_max or 0
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

-- Adds entries, from one index to another, to what is published to each node that holds a stream of the session, beside this one.
-- Offsets count from `before` on.
local function address(messages, holders, id, before, entries, from, to)
  for holder in string.gmatch(holders or '', '%S+') do
    if holder ~= node then
      local message = messages[holder] or { 'events' }
      messages[holder] = message
      local size = #message
      for n = from, to do
        message[size + 1], message[size + 2], message[size + 3] = id, before + 1 + n - from, entries[n]
        size = size + 3
      end
    end
  end
end

local function publish(messages)
  for holder, message in pairs(messages) do
    redis.call('SPUBLISH', node_channel(holder), table.concat(message, '\n'))
  end
end
