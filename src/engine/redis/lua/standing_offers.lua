-- Standing offers, each in a key of its own, so that none is read but by the commit that pairs its owner. Their bytes are counted in one hash, by the
-- address of the owner and for `all`; no field is 0.
local function count_standing(address, by)
  for _, field in ipairs({ 'all', address }) do
    local bytes = tonumber(redis.call('HGET', standing_bytes_key(), field) or '0') + by
    if bytes > 0 then redis.call('HSET', standing_bytes_key(), field, string.format('%d', bytes))
    else redis.call('HDEL', standing_bytes_key(), field) end
  end
end

-- Whether there is no room for so many bytes of an address in place of those before, which may be of another one. A bound of 0 is none.
local function is_standing_full(address, bytes, address_before, bytes_before, bytes_max, address_bytes_max)
  local function exceeds(field, freed, max)
    local kept = tonumber(redis.call('HGET', standing_bytes_key(), field) or '0') - freed
    return tonumber(max) > 0 and kept + bytes > tonumber(max)
  end
  local freed = address_before == address and tonumber(bytes_before) or 0
  return exceeds('all', tonumber(bytes_before), bytes_max) or exceeds(address, freed, address_bytes_max)
end

local function keep_standing(session, address, bytes, offer)
  redis.call('SET', standing_offer_key(session), offer)
  count_standing(address, tonumber(bytes))
end

local function drop_standing(session, address, bytes)
  redis.call('DEL', standing_offer_key(session))
  count_standing(address, -tonumber(bytes))
end
