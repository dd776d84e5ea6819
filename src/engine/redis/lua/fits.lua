-- Whom a ticket fits by facts and wants. What it states and refuses (see Fit in facts.ts) is in its session's field `fit`: '=words pool', or
-- '~words pool' if it has wants that the bits of the words can't tell. Its field `stated` has what these are compared
-- with: { f = facts, w = the wants that bits can't tell }. A pool is a declaration, a mode and a lobby. Tickets of
-- different declarations are compared by names.
-- While a new declaration is rolled out, two that differ find each other only among those that are read one by one.
--
-- Those of a pool that accept anybody have a place each, a number. Bit `place` of fact_bits_key(pool, n) is bit n of the ticket there, and
-- bit `place` of a term's bitmap says that it is listed under that term. So those who fit are found by a few BITOP, without reading the others.
local band, bxor = bit.band, bit.bxor
-- So many that do not fit are read, the longest queued of each term first: of the terms with bitmaps together, before these are used; and of
-- each other term, and of all of these together.
local misfits_max, other_misfits_max = 32, 128
-- Of those who fit by bits the first so many are compared, of which the longest queued are read.
local compared_max, read_max = 128, 32
local places_min = 1024
local zeros = string.rep('\0', 32)
-- BITOP takes several times as long with more than 16 keys.
local at_once = 15

local function parse_fit(fit)
  local exact, texts, pool = string.match(fit, '^(.)(%S+) (.*)$')
  local words = {}
  for word in string.gmatch(texts, '[^,]+') do words[#words + 1] = tonumber(word) end
  return words, exact == '~', pool
end

local function each_bit(words, visit)
  for n, word in ipairs(words) do
    local left = band(word, -1)
    while left ~= 0 do
      local lowest = band(left, -left)
      local _, bits = math.frexp(math.abs(lowest))
      visit(32 * (n - 1) + bits - 1)
      left = bxor(left, lowest)
    end
  end
end

-- The bitmap of a term under which tickets are found that accept anybody; nil for any other.
local function places_of(term, pool)
  local kind, word = string.match(string.sub(term, #prefix + 1), '^i:%a+:(%a+):(.*)$')
  return (kind == 'anybody' or kind == 'fact') and term_places_key(pool, kind, word) or nil
end

local function mark(place, words, pool, terms, value)
  each_bit(words, function(n) redis.call('SETBIT', fact_bits_key(pool, n), place, value) end)
  for _, term in ipairs(terms) do
    local bitmap = places_of(term, pool)
    if bitmap then
      redis.call('SETBIT', bitmap, place, value)
      if value == 0 and redis.call('BITPOS', bitmap, 1) < 0 then redis.call('DEL', bitmap) end
    end
  end
  redis.call('SETBIT', taken_places_key(pool), place, value)
end

-- A ticket has been added to its terms, at least one of which has a bitmap.
local function give_place(id, fit, queued_since, terms)
  local words, _, pool = parse_fit(fit)
  -- In turn, so that those who came first are at the places after the next one, and those who came last before it.
  local next_place, count = tonumber(redis.call('HGET', places_key(pool), 'next') or '0'), redis.call('HLEN', places_key(pool))
  if next_place >= math.max(places_min, 2 * count) then next_place = 0 end
  local byte = math.floor(next_place / 8)
  local place = redis.call('BITPOS', taken_places_key(pool), 0, byte)
  -- The bitmap ends before that.
  if place < 0 then place = 8 * byte end
  redis.call('HSET', places_key(pool), place, queued_since .. ' ' .. id, 'next', place + 1)
  redis.call('HSET', session_key(id), 'place', place)
  mark(place, words, pool, terms, 1)
end

-- It has been removed from them.
local function take_place(id, fit, terms)
  local place = redis.call('HGET', session_key(id), 'place')
  if (place or '') == '' then return end
  local words, _, pool = parse_fit(fit)
  redis.call('HSET', session_key(id), 'place', '')
  mark(place, words, pool, terms, 0)
  redis.call('HDEL', places_key(pool), place)
  if redis.call('HLEN', places_key(pool)) > 1 then return end
  local bitmaps = { places_key(pool), taken_places_key(pool) }
  for n = 0, 32 * #words - 1 do bitmaps[n + 3] = fact_bits_key(pool, n) end
  redis.call('DEL', unpack(bitmaps))
end

local function includes(list, item)
  for _, one in ipairs(list or {}) do
    if one == item then return true end
  end
  return false
end

-- See `meets` in facts.ts.
local function meets(fact, want)
  if type(fact) == 'string' then return includes(want['in'], fact) end
  if type(fact) == 'boolean' then return fact == want.is end
  if type(fact) == 'number' then
    return (want.from or want.to) ~= nil and fact >= (want.from or fact) and fact <= (want.to or fact)
  end
  for _, value in ipairs(fact or {}) do
    if includes(want['in'], value) then return true end
  end
  return false
end

local function meets_all(facts, wants)
  for _, want in ipairs(wants) do
    if not meets(facts[want.of], want) then return false end
  end
  return true
end

-- Two of different pools, as tickets: by all wants that hold at `now`.
local function meets_required(other, one, now)
  local required = {}
  for _, want in ipairs(one.wishes.wants or {}) do
    if not want.softAfterMs or now - one.since < want.softAfterMs then required[#required + 1] = want end
  end
  return meets_all(other.wishes.facts or {}, required)
end

local function decode_stated(text) return text == '' and { f = {}, w = {} } or cjson.decode(text) end

local function person_and_fit_of(session)
  local fields = redis.call('HMGET', session_key(session), 'account', 'fit')
  local account = fields[1] or ''
  if account == '' then return session, nil, fields[2] or '' end
  return '@' .. account, account, fields[2] or ''
end

-- A session's look at others: `fits(other, its fit)`, and `among(bitmaps)`, an iterator over the sessions that are listed under one of these
-- terms and fit by bits, the longest queued first.
local function look_of(session, fit, now)
  local words, exact, pool = parse_fit(fit)
  local in_same_pool = '^(.)' .. string.rep('([^,]+),', #words) .. ' '
  local half, by_bits, by_stated, own = #words / 2, {}, {}, nil
  local function field_of(id, field) return redis.call('HGET', session_key(id), field) or '' end

  local function fits_by_bits(other)
    for n = 1, half do
      -- The functions on bits take texts as well.
      if band(words[n], other[half + n + 1]) ~= 0 or band(words[half + n], other[n + 1]) ~= 0 then return false end
    end
    return true
  end

  local function fit_by_names(other)
    local its = field_of(other, 'ticket')
    if its == '' then return false end
    local one, theirs = cjson.decode(field_of(session, 'ticket')), cjson.decode(its)
    return meets_required(theirs, one, now) and meets_required(one, theirs, now)
  end

  local function fit_exactly(other)
    local stated = field_of(other, 'stated')
    if by_stated[stated] == nil then
      own = own or decode_stated(field_of(session, 'stated'))
      local its = decode_stated(stated)
      by_stated[stated] = meets_all(its.f, own.w) and meets_all(own.f, its.w)
    end
    return by_stated[stated]
  end

  local function fits(other, its)
    local known = by_bits[its]
    if known == nil then
      if string.sub(its, -#pool - 1) ~= ' ' .. pool then known = fit_by_names
      else
        local theirs = { string.match(its, in_same_pool) }
        known = fits_by_bits(theirs) and ((exact or theirs[1] == '~') and fit_exactly or true)
      end
      by_bits[its] = known
    end
    if type(known) == 'boolean' then return known end
    return known(other)
  end

  -- The bitmaps of these that exist, as long as that of all places: BITOP takes tenfold time where one of its keys is shorter.
  local function even(keys)
    local bytes, evened = redis.call('STRLEN', taken_places_key(pool)), {}
    for _, key in ipairs(keys) do
      local length = redis.call('STRLEN', key)
      if length > 0 and length < bytes then redis.call('SETBIT', key, 8 * bytes - 1, 0) end
      if length > 0 then evened[#evened + 1] = key end
    end
    return evened
  end

  local function bitop_or(into, keys)
    for n = 1, #keys, at_once do
      local some = { unpack(keys, n, math.min(n + at_once - 1, #keys)) }
      if n > 1 then some[#some + 1] = into end
      redis.call('BITOP', 'OR', into, unpack(some))
    end
  end

  -- A bitmap of the places that are listed under one of the terms, without those whose tickets do not fit.
  local function fitting_among(bitmaps)
    local found, refused, refusing = fitting_key('found'), fitting_key('refused'), {}
    -- What one states the other must not refuse.
    each_bit(words, function(n) refusing[#refusing + 1] = fact_bits_key(pool, (n + 32 * half) % (64 * half)) end)
    bitmaps, refusing = even(bitmaps), even(refusing)
    -- Neither replicas nor the log of writes need to know of what is deleted again at once.
    redis.set_repl(redis.REPL_NONE)
    bitop_or(found, bitmaps)
    if #refusing > 0 then
      bitop_or(refused, refusing)
      redis.call('BITOP', 'AND', refused, refused, found)
      redis.call('BITOP', 'XOR', found, found, refused)
    end
    local bytes = redis.call('GET', found) or ''
    redis.call('DEL', found, refused)
    redis.set_repl(redis.REPL_ALL)
    return bytes
  end

  -- Adds the places whose bits are set from one byte to another, up to `compared_max` of them.
  local function add_places(places, bytes, from, to)
    for first = from, to, #zeros do
      local chunk = string.sub(bytes, first, math.min(to, first + #zeros - 1))
      if chunk ~= zeros then
        for n = 1, #chunk do
          local byte = string.byte(chunk, n)
          if byte ~= 0 then
            while byte > 0 do
              local _, bits = math.frexp(byte)
              places[#places + 1] = 8 * (first + n - 2) + 8 - bits
              byte = byte - 2 ^ (bits - 1)
            end
            if #places >= compared_max then return end
          end
        end
      end
    end
  end

  local function among(bitmaps)
    local bytes, places = fitting_among(bitmaps), {}
    local oldest = math.floor(tonumber(redis.call('HGET', places_key(pool), 'next') or '0') / 8) + 1
    add_places(places, bytes, oldest, #bytes)
    if #places < compared_max then add_places(places, bytes, 1, math.min(oldest - 1, #bytes)) end
    if #places == 0 then return function() end end
    local ids, since = {}, {}
    for n, text in ipairs(redis.call('HMGET', places_key(pool), unpack(places))) do
      local at, id = string.match(text, '^(%S+) (.*)$')
      ids[n], since[n] = id, tonumber(at)
    end
    local left = math.min(read_max, #ids)
    -- Few are asked for: finding the next one is less than sorting all.
    return function()
      if left == 0 then return nil end
      left = left - 1
      local first, last = 1, #ids
      for n = 2, last do
        if since[n] < since[first] then first = n end
      end
      local id = ids[first]
      ids[first], since[first] = ids[last], since[last]
      ids[last], since[last] = nil, nil
      return id
    end
  end

  return { pool = pool, fits = fits, among = among, misfits = 0, other_misfits = 0 }
end
