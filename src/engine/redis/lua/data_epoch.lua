-- The number of this life of the data. A new life begins when the replication id is another one, because acknowledged
-- writes may be lost then: all nodes are fenced off, and all logs get new epochs. Not so if the data was moved here as a
-- whole: `moved_from` is the replication id of the master that had it before, or empty (see slot-moves.ts).
local history = redis.call('GET', history_key())
if history ~= replication_id then
  redis.call('SET', history_key(), replication_id)
  if not history or history ~= moved_from then
    redis.call('INCR', data_epoch_key())
    for _, other in ipairs(redis.call('ZRANGE', nodes_key(), 0, -1)) do redis.call('DEL', node_key(other)) end
  end
end
return redis.call('GET', data_epoch_key())
