-- Changes the number of open shards, if it is as it was. Returns what it is then.
if is_fenced(node) then return 'fenced' end
local open = tonumber(redis.call('GET', open_shards_key()) or '1')
if open ~= tonumber(before) then return open end
redis.call('SET', open_shards_key(), after)
return tonumber(after)
