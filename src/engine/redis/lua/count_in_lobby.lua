-- Counts what is in the lobbies besides the one that is always there. A field of the hash is the name of a lobby, a line break, and
-- what is counted: `online`, `waiting <mode>` or `rooms <mode>`. Without a name it is the sum over those lobbies: what is in the one that
-- is always there is the rest of all. No field is 0.
local function count_in_lobby(lobby, what, by)
  for _, name in ipairs({ lobby, '' }) do
    local field = name .. '\n' .. what
    local count = tonumber(redis.call('HGET', lobby_counts_key(), field) or '0') + by
    if count == 0 then redis.call('HDEL', lobby_counts_key(), field)
    else redis.call('HSET', lobby_counts_key(), field, string.format('%d', count)) end
  end
end
