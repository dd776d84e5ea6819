-- Keeps what a moderation entry has decided, once and in the order of the entries: `json`, and in `rest` what became of cases, as score
-- and case in turn. Every node tries this for every such entry, so that none is missing because a node has died.
if is_fenced(node) then return 'fenced' end
local added = redis.pcall('XADD', decisions_key(), 'MAXLEN', '~', max, entry, 'decided', json)
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller', 1, true) then return 0 end
  return added
end
if #rest > 0 then
  redis.call('ZADD', cases_key(), unpack(rest))
  redis.call('ZREMRANGEBYRANK', cases_key(), 0, -cases_max - 1)
end
if keep_ms ~= '0' then
  redis.call('XTRIM', decisions_key(), 'MINID', kept_since)
  redis.call('ZREMRANGEBYSCORE', cases_key(), '-inf', '(' .. cases_since)
  redis.call('PEXPIRE', decisions_key(), keep_ms)
  redis.call('PEXPIRE', cases_key(), keep_ms)
end
return 1
