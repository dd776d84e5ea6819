-- Of those that are listed under one of a ticket's terms, up to `max` that neither avoid its session nor are avoided by it, or half as
-- many from each of several terms. Returns { id, fields } of each.
local function eligible_for(session, terms, now, max)
  if #terms > 1 then max = math.ceil(max / 2) end
  local window, found, has = 32, {}, {}
  for _, term in ipairs(terms) do
    local read, count = 0, 0
    repeat
      local batch = redis.call('ZRANGE', term, read, read + window - 1)
      for _, other in ipairs(batch) do
        if count >= max then break end
        if other ~= session and (has[other] or not (avoids(session, other, now) or avoids(other, session, now))) then
          count = count + 1
          if not has[other] then
            has[other] = true
            found[#found + 1] = { other, redis.call('HGETALL', session_key(other)) }
          end
        end
      end
      read = read + #batch
    until #batch < window or count >= max
  end
  return found
end
