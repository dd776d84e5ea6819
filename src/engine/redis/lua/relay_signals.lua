-- Relays signals to their senders' partners, in order. `rest` has session, generation, room, signal and mutation of each. An
-- empty signal is not sent, only answered; an empty mutation is not recorded. Results recorded before `recorded_since` (epoch
-- milliseconds) are too old to be given again. Returns the outcome of each.
if is_fenced(node) then return 'fenced' end
events_max, bytes_max, results_max = tonumber(events_max), tonumber(bytes_max), tonumber(results_max)
recorded_since = tonumber(recorded_since)
local messages = {}

local function relay(session, generation, room, signal, mutation)
  local fields = redis.call('HMGET', session_key(session), 'generation', 'room', 'partner')
  if not fields[1] then return 'unknown session' end
  if tonumber(generation) < tonumber(fields[1]) then return 'taken-over' end
  if mutation ~= '' then
    local recorded = redis.call('HGET', results_key(session), mutation)
    if recorded then
      local at, result = string.match(recorded, '^%d+ (%d+) (.*)$')
      if tonumber(at) > recorded_since then return cjson.decode(result).delivered and 'delivered' or 'dropped' end
    end
  end
  if fields[2] ~= room then return 'another room' end
  if signal ~= '' then append_event(messages, fields[3], signal, events_max, bytes_max) end
  if mutation ~= '' then record_result(session, mutation, '{"delivered":true}', now, results_max) end
  return 'delivered'
end

local outcomes = {}
for n = 1, #rest, 5 do
  outcomes[#outcomes + 1] = relay(rest[n], rest[n + 1], rest[n + 2], rest[n + 3], rest[n + 4])
end
publish(messages)
return outcomes
