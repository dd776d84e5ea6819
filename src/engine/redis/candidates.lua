-- A waiting ticket, and up to `max` of those who stand where it stands and neither avoid it nor are avoided, or half
-- as many from each of several such places. ARGV: prefix, node, session, now, max.
local p, id, now, max = ARGV[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if fenced(p, ARGV[2]) then return 'fenced' end
local own = redis.call('HMGET', p .. 's:' .. id, 'revision', 'ticket', 'stands')
if not own[2] or not own[3] then return {} end

local function avoids(one, other)
  local till = redis.call('ZSCORE', p .. 'v:' .. one, other)
  return till and tonumber(till) > now
end

local stands = cjson.decode(own[3])
if #stands > 1 then max = math.ceil(max / 2) end
local window, found, has = 32, { { id, own[1], own[2] } }, {}
for _, stand in ipairs(stands) do
  local read, count = 0, 0
  repeat
    local batch = redis.call('ZRANGE', stand, read, read + window - 1)
    for _, other in ipairs(batch) do
      if count >= max then break end
      if other ~= id and (has[other] or not (avoids(id, other) or avoids(other, id))) then
        count = count + 1
        if not has[other] then
          has[other] = true
          local kept = redis.call('HMGET', p .. 's:' .. other, 'revision', 'ticket')
          found[#found + 1] = { other, kept[1], kept[2] }
        end
      end
    end
    read = read + #batch
  until #batch < window or count >= max
end
return found
