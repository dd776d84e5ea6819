-- Of those that are listed under one of a ticket's terms, up to `max` whom its session may meet, or half as many from each of several
-- terms; and up to `max` more from the terms that were read in part only. `own` is whose ticket it is (see person_of), `fit` what it states
-- and refuses (see fits.lua), empty without any dimensions. Returns { id, fields } of each.
local function eligible_for(session, own, terms, now, max, fit)
  local max_of_term = #terms > 1 and math.ceil(max / 2) or max
  local window, found, has, is_misfit, unread = 32, {}, {}, {}, {}
  local look = fit ~= '' and look_of(session, fit, now) or nil
  -- Adds one whom it may meet. Returns 'found', 'misfit', or nil.
  local function consider(other)
    if other == session then return nil end
    if has[other] then return 'found' end
    if is_misfit[other] then return 'misfit' end
    local person, account, its
    if look then
      person, account, its = person_and_fit_of(other)
      is_misfit[other] = not look.fits(other, its)
      if is_misfit[other] then return 'misfit' end
    else
      person, account = person_of(other)
    end
    if must_not_meet(own, person, now) then return nil end
    has[other] = true
    found[#found + 1] = { other, fields_of(other, account) }
    return 'found'
  end
  for _, term in ipairs(terms) do
    local read, count, misfits, is_whole = 0, 0, 0, false
    local bitmap = look and places_of(term, look.pool)
    local function is_enough()
      if count >= max_of_term then return true end
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
        local what = consider(other)
        if what == 'found' then count = count + 1 end
        if what == 'misfit' then
          misfits = misfits + 1
          if bitmap then look.misfits = look.misfits + 1 else look.other_misfits = look.other_misfits + 1 end
        end
      end
      read = read + #batch
    end
    if bitmap and not is_whole and count < max_of_term then unread[#unread + 1] = bitmap end
  end
  if #unread > 0 then
    local most = #found + max
    for other in look.among(unread) do
      consider(other)
      if #found >= most then break end
    end
  end
  return found
end
