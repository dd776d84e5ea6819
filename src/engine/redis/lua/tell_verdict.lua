-- Appends what a moderation entry has led to, once: its events are in `rest`. Without an entry they are appended in any case.
if is_fenced(node) then return 'fenced' end
if entry ~= '' and redis.call('SREM', untold_verdicts_key(), entry) == 0 then return 0 end
tell(max, unpack(rest))
return 1
