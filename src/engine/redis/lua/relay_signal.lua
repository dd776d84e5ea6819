-- Relays a signal to the sender's partner. An empty `signal` is not sent, only answered; an empty `mutation` is not
-- recorded. Results recorded before `recorded_since` (epoch milliseconds) are too old to be given again.
if is_fenced(node) then return 'fenced' end
local fields = redis.call('HMGET', session_key(session), 'generation', 'room', 'partner')
if not fields[1] then return 'unknown session' end
if tonumber(generation) < tonumber(fields[1]) then return 'taken-over' end
if mutation ~= '' then
  local recorded = redis.call('HGET', results_key(session), mutation)
  if recorded then
    local at, result = string.match(recorded, '^%d+ (%d+) (.*)$')
    if tonumber(at) > tonumber(recorded_since) then return cjson.decode(result).delivered and 'delivered' or 'dropped' end
  end
end
if fields[2] ~= room then return 'another room' end
if signal ~= '' then append_event(fields[3], signal, tonumber(events_max), tonumber(bytes_max)) end
if mutation ~= '' then record_result(session, mutation, '{"delivered":true}', now, tonumber(results_max)) end
return 'delivered'
