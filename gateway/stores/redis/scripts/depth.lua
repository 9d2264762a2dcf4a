-- Return the number of entries in the streams KEYS, and the age of the oldest in milliseconds, by
-- this server's clock.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local entries, oldest_ms = 0, 0
for i = 1, #KEYS do
  local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
  if first then
    entries = entries + redis.call('XLEN', KEYS[i])
    oldest_ms = math.max(oldest_ms, now_ms - tonumber(string.match(first[1], '^%d+')))
  end
end
return {entries, oldest_ms}
