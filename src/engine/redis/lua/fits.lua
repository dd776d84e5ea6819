-- Whom a ticket fits by facts and wants. What it states and refuses (see Fit in facts.ts) is in its session's field `fit`: 'words exact pool';
-- `exact` is '~' if it has wants that the bits of the words can't tell, else '='. A pool is a declaration, a mode and a lobby. Tickets of
-- different ones are compared by names: while a new version is rolled out, nodes may differ in what is declared.
--
-- Those of a pool that accept anybody have a place each, a number. Bit `place` of fact_bits_key(pool, n) is bit n of the ticket there, and
-- bit `place` of a term's bitmap says that it is listed under that term. So those who fit are found by a few BITOP, without reading the others.
local band, lshift, rshift = bit.band, bit.lshift, bit.rshift
-- So many of a term that do not fit are read before that, the longest queued first; and of all terms of a look together.
local misfits_max, all_misfits_max = 32, 256
-- Of those who fit by bits so many are compared, of which the longest queued are read first.
local compared_max, read_max = 256, 64
local zeros = string.rep('\0', 32)
-- BITOP is several times faster with up to 16 keys.
local at_once = 15

-- Of a ticket that a node has listed to which none are declared there is nothing.
local function parse_fit(fit)
  if fit == '' then return {}, false, '' end
  local texts, exact, pool = string.match(fit, '^(%S+) (%S) (.*)$')
  local words = {}
  for word in string.gmatch(texts, '[^,]+') do words[#words + 1] = tonumber(word) end
  return words, exact == '~', pool
end

local function each_bit(words, visit)
  for n, word in ipairs(words) do
    for place = 0, 31 do
      if band(word, lshift(1, place)) ~= 0 then visit(32 * (n - 1) + place) end
    end
  end
end

-- The bitmap of a term under which tickets are found that accept anybody; nil for any other.
local function places_of(term)
  local mode, kind, word = string.match(string.sub(term, #prefix + 1), '^i:(%a+):(%a+):(.*)$')
  return (kind == 'anybody' or kind == 'fact') and term_places_key(mode, kind, word) or nil
end

local function mark(id, place, words, pool, terms, value)
  each_bit(words, function(n) redis.call('SETBIT', fact_bits_key(pool, n), place, value) end)
  for _, term in ipairs(terms) do
    local bitmap = places_of(term)
    if bitmap then
      redis.call('SETBIT', bitmap, place, value)
      if value == 0 and redis.call('EXISTS', term) == 0 then redis.call('DEL', bitmap) end
    end
  end
  redis.call('SETBIT', taken_places_key(pool), place, value)
end

-- A ticket has been added to its terms, at least one of which has a bitmap.
local function give_place(id, fit, terms)
  local words, _, pool = parse_fit(fit)
  local place = redis.call('BITPOS', taken_places_key(pool), 0)
  redis.call('HSET', places_key(pool), place, id)
  redis.call('HSET', session_key(id), 'place', place)
  mark(id, place, words, pool, terms, 1)
end

-- It has been removed from them.
local function take_place(id, fit, terms)
  local place = redis.call('HGET', session_key(id), 'place')
  if (place or '') == '' then return end
  local words, _, pool = parse_fit(fit)
  redis.call('HSET', session_key(id), 'place', '')
  mark(id, place, words, pool, terms, 0)
  redis.call('HDEL', places_key(pool), place)
  if redis.call('EXISTS', places_key(pool)) == 1 then return end
  local bitmaps = { taken_places_key(pool) }
  for n = 0, 32 * #words - 1 do bitmaps[n + 2] = fact_bits_key(pool, n) end
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
  if type(fact) == 'number' then return fact >= (want.from or fact) and fact <= (want.to or fact) end
  for _, value in ipairs(fact or {}) do
    if includes(want['in'], value) then return true end
  end
  return false
end

local function meets_required(other, ticket, now)
  for _, want in ipairs(ticket.wishes.wants or {}) do
    local is_required = not want.softAfterMs or now - ticket.since < want.softAfterMs
    if is_required and not meets((other.wishes.facts or {})[want.of], want) then return false end
  end
  return true
end

-- Those that bits can't tell.
local function meets_exactly(other, ticket)
  for _, n in ipairs(ticket.fit.exact or {}) do
    local want = (ticket.wishes.wants or {})[n + 1]
    if want and not meets((other.wishes.facts or {})[want.of], want) then return false end
  end
  return true
end

local function person_and_fit_of(session)
  local fields = redis.call('HMGET', session_key(session), 'account', 'fit')
  local account = fields[1] or ''
  if account == '' then return session, nil, fields[2] or '' end
  return '@' .. account, account, fields[2] or ''
end

-- A session's look at others: `fits(other, its fit)`, and `among(term)`, an iterator over the sessions listed under a term that fit by bits,
-- the longest queued first.
local function look_of(session, fit, now)
  local words, exact, pool = parse_fit(fit)
  local half, by_bits, own, refused = #words / 2, {}, nil, nil
  local function ticket_of(id) return cjson.decode(redis.call('HGET', session_key(id), 'ticket')) end

  local function fits_by_bits(other)
    for n = 1, half do
      if band(words[n], other[half + n]) ~= 0 or band(other[n], words[half + n]) ~= 0 then return false end
    end
    return true
  end

  local function fits(other, its)
    local known = by_bits[its]
    if known == nil then
      local its_words, its_exact, its_pool = parse_fit(its)
      if its_pool ~= pool then known = meets_required
      else known = fits_by_bits(its_words) and ((exact or its_exact) and meets_exactly or true) end
      by_bits[its] = known
    end
    if type(known) == 'boolean' then return known end
    own = own or ticket_of(session)
    local theirs = ticket_of(other)
    return known(theirs, own, now) and known(own, theirs, now)
  end

  -- A bitmap of the places whose tickets do not fit. There is none if all do.
  local function refuse()
    refused = fitting_key('refused')
    redis.call('DEL', refused)
    local keys = {}
    -- What one states the other must not refuse.
    each_bit(words, function(n) keys[#keys + 1] = fact_bits_key(pool, (n + 32 * half) % (64 * half)) end)
    for n = 1, #keys, at_once do redis.call('BITOP', 'OR', refused, refused, unpack(keys, n, math.min(n + at_once - 1, #keys))) end
  end

  -- The places whose bits are set, the first `compared_max` of them.
  local function places_in(bytes)
    local places = {}
    for from = 1, #bytes, #zeros do
      local chunk = string.sub(bytes, from, from + #zeros - 1)
      if chunk ~= zeros then
        for n = 1, #chunk do
          local byte = string.byte(chunk, n)
          for place = 0, byte == 0 and -1 or 7 do
            if band(byte, rshift(128, place)) ~= 0 then places[#places + 1] = 8 * (from + n - 2) + place end
          end
        end
      end
      if #places >= compared_max then break end
    end
    while #places > compared_max do places[#places] = nil end
    return places
  end

  local function among(term)
    local bitmap, found = places_of(term), fitting_key('found')
    if not bitmap then return function() end end
    -- Neither replicas nor the log of writes need to know of what is deleted again at once.
    redis.set_repl(redis.REPL_NONE)
    if not refused then refuse() end
    redis.call('BITOP', 'AND', found, refused, bitmap)
    redis.call('BITOP', 'XOR', found, found, bitmap)
    local places = places_in(redis.call('GET', found) or '')
    redis.call('DEL', found)
    redis.set_repl(redis.REPL_ALL)
    if #places == 0 then return function() end end
    local ids = redis.call('HMGET', places_key(pool), unpack(places))
    local scores = redis.call('ZMSCORE', term, unpack(ids))
    for n = 1, #ids do scores[n] = tonumber(scores[n]) end
    local left = math.min(read_max, #ids)
    -- Few are asked for: finding the next one is less than sorting all.
    return function()
      if left == 0 then return nil end
      left = left - 1
      local first = 1
      for n = 2, #ids do
        if scores[n] < scores[first] then first = n end
      end
      local id = ids[first]
      local last = #ids
      ids[first], scores[first] = ids[last], scores[last]
      ids[last], scores[last] = nil, nil
      return id
    end
  end

  local function done()
    if not refused then return end
    redis.set_repl(redis.REPL_NONE)
    redis.call('DEL', refused)
    redis.set_repl(redis.REPL_ALL)
  end
  return { fits = fits, among = among, done = done, misfits = 0 }
end
