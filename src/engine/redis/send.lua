-- Relays a signal. ARGV: prefix, node, now, events_max, bytes_max, answers_max, session, generation, room, signal or '',
-- mutation or '', since when an answer counts.
local p, id, mutation = ARGV[1], ARGV[7], ARGV[11]
if fenced(p, ARGV[2]) then return 'fenced' end
local kept = redis.call('HMGET', p .. 's:' .. id, 'generation', 'room', 'partner')
if not kept[1] then return 'unknown' end
if tonumber(ARGV[8]) < tonumber(kept[1]) then return 'taken-over' end
if mutation ~= '' then
  local past = redis.call('HGET', p .. 'a:' .. id, mutation)
  if past then
    local at, answer = string.match(past, '^%d+ (%d+) (.*)$')
    if tonumber(at) > tonumber(ARGV[12]) then return cjson.decode(answer).delivered and 'delivered' or 'ended' end
  end
end
if kept[2] ~= ARGV[9] then return 'elsewhere' end
if ARGV[10] ~= '' then tell(p, kept[3], ARGV[10], tonumber(ARGV[4]), tonumber(ARGV[5])) end
if mutation ~= '' then record(p, id, mutation, '{"delivered":true}', ARGV[3], tonumber(ARGV[6])) end
return 'delivered'
