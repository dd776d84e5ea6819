-- Renews a node's lease, or begins it (`begins` is '1'). Returns the nodes whose lease has ended, each with its last
-- heartbeat (epoch milliseconds); what each other node has told of its load, if this one tells its own; and when the first
-- deadline is due. A node that begins while another version of the layout is in use gets { 'layout', version } instead.
if begins == '1' then
  local used = redis.call('GET', layout_key)
  if used and used ~= layout then return { 'layout', used } end
  redis.call('SET', node_key(node), about, 'PX', lease_ms)
elseif redis.call('PEXPIRE', node_key(node), lease_ms) == 0 then return 'fenced' end
redis.call('SET', layout_key, layout, 'PX', 10 * lease_ms)
redis.call('ZADD', nodes_key(), now, node)
-- The counts of a node whose lease has ended are not read; they need not stay for long.
redis.call('PEXPIRE', sockets_key(node), 10 * lease_ms)
local gone, all = {}, redis.call('ZRANGE', nodes_key(), 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  if is_fenced(all[i]) then gone[#gone + 1] = { all[i], all[i + 1] } end
end
local loads = {}
if load ~= '' then
  redis.call('HSET', loads_key(), node, load)
  local told = redis.call('HGETALL', loads_key())
  for i = 1, #told, 2 do
    if is_fenced(told[i]) then
      redis.call('HDEL', loads_key(), told[i])
    else
      loads[#loads + 1], loads[#loads + 2] = told[i], told[i + 1]
    end
  end
end
return { gone, loads, redis.call('ZRANGE', due_key(), 0, 0, 'WITHSCORES')[2] }
