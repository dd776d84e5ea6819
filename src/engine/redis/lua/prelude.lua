-- What the scripts share. A node without its lease is fenced off: others have taken over its sessions.
local function is_fenced(id)
  return redis.call('EXISTS', node_key(id)) == 0
end
