-- Appends lifecycle events, which are then told. Past the bound they are only counted, so that those before stay whole and in order.
local function tell(max, ...)
  for _, event in ipairs({ ... }) do
    if redis.call('XLEN', lifecycle_key()) < tonumber(max) then
      redis.call('XADD', lifecycle_key(), '*', 'event', event)
    else
      redis.call('INCR', lifecycle_lost_key())
    end
  end
end
