-- Appends an entry to the moderation log; with `tells` it is listed until its events have been appended (tell_verdict.lua). Returns its id.
if is_fenced(node) then return 'fenced' end
local id = redis.call('XADD', moderation_log_key(), 'MAXLEN', '~', max, '*', 'entry', json)
if tells == '1' then redis.call('SADD', untold_verdicts_key(), id) end
return id
