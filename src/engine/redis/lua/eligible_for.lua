-- Of those that are listed under one of a ticket's terms, up to `max` whom its session may meet, or half as many from each of several
-- terms. `own` is whose ticket it is (see person_of), `fit` what it states and refuses (see fits.lua), empty without any dimensions. Returns
-- { id, fields } of each.
local function eligible_for(session, own, terms, now, max, fit)
  if #terms > 1 then max = math.ceil(max / 2) end
  local window, found, has = 32, {}, {}
  local look = fit ~= '' and look_of(session, fit, now) or nil
  local is_misfit = {}
  for _, term in ipairs(terms) do
    local read, count, misfits, here, is_whole = 0, 0, 0, {}, false
    local bitmap = look and places_of(term, look.pool)
    local function fits(other, its)
      if is_misfit[other] == nil then is_misfit[other] = not look.fits(other, its) end
      if not is_misfit[other] then return true end
      misfits = misfits + 1
      if bitmap then look.misfits = look.misfits + 1 else look.other_misfits = look.other_misfits + 1 end
      return false
    end
    local function consider(other)
      if other == session or here[other] then return end
      if not has[other] then
        if is_misfit[other] then return end
        local person, account, its
        if look then person, account, its = person_and_fit_of(other) else person, account = person_of(other) end
        if look and not fits(other, its) or must_not_meet(own, person, now) then return end
        has[other] = true
        found[#found + 1] = { other, fields_of(other, account) }
      end
      count, here[other] = count + 1, true
    end
    local function is_enough()
      if count >= max then return true end
      if bitmap then return look.misfits >= misfits_max end
      return look and (misfits >= misfits_max or look.other_misfits >= other_misfits_max)
    end
    while not is_whole and not is_enough() do
      local batch = redis.call('ZRANGE', term, read, read + window - 1)
      is_whole = #batch < window
      for _, other in ipairs(batch) do
        if is_enough() then
          is_whole = false
          break
        end
        consider(other)
      end
      read = read + #batch
    end
    if bitmap and not is_whole and count < max then
      for other in look.among(bitmap, term, is_misfit, #terms) do
        consider(other)
        if count >= max then break end
      end
    end
  end
  if look then look.done() end
  return found
end
