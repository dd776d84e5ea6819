-- Of those that are listed under one of a ticket's terms, up to `max` whom its session may meet, or half as many from each of several
-- terms. Returns { id, fields } of each.
local function eligible_for(session, terms, now, max)
  if #terms > 1 then max = math.ceil(max / 2) end
  local window, found, has, own = 32, {}, {}, person_of(session)
  for _, term in ipairs(terms) do
    local read, count = 0, 0
    repeat
      local batch = redis.call('ZRANGE', term, read, read + window - 1)
      for _, other in ipairs(batch) do
        if count >= max then break end
        if has[other] then count = count + 1
        elseif other ~= session then
          local person, account = person_of(other)
          if not must_not_meet(own, person, now) then
            count, has[other] = count + 1, true
            found[#found + 1] = { other, fields_of(other, account) }
          end
        end
      end
      read = read + #batch
    until #batch < window or count >= max
  end
  return found
end
