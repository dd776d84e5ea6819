-- Removes the lifecycle events that were told, whose ids are in `rest`, and reads further ones for the one node that tells them: the one
-- with the lock, which is taken or renewed for `lease_ms`; with 0 it is given back. Returns { 'held', node } for any other node; else
-- 'taken' or 'kept', up to `max` events after `after` (all again if it was taken), how many were lost, the moderation entries whose
-- events are still missing, and how many events there are.
if is_fenced(node) then return 'fenced' end
if #rest > 0 then redis.call('XDEL', lifecycle_key(), unpack(rest)) end
local holder = redis.call('GET', lifecycle_reader_key())
if holder and holder ~= node and not is_fenced(holder) then return { 'held', holder } end
if lease_ms == '0' then
  redis.call('DEL', lifecycle_reader_key())
  return { 'held', '' }
end
redis.call('SET', lifecycle_reader_key(), node, 'PX', lease_ms)
local is_kept = holder == node
local from = is_kept and after ~= '' and '(' .. after or '-'
local events = max ~= '0' and redis.call('XRANGE', lifecycle_key(), from, '+', 'COUNT', max) or {}
local lost = tonumber(redis.call('GET', lifecycle_lost_key()) or '0')
if lost > 0 then redis.call('DEL', lifecycle_lost_key()) end
local untold = redis.call('SMEMBERS', untold_verdicts_key())
return { is_kept and 'kept' or 'taken', events, lost, untold, redis.call('XLEN', lifecycle_key()) }
