-- The channel was told of these rules in these states; what changed meanwhile is told next.
-- KEYS: as in claim_alerts.lua. ARGV: of each rule its name and state.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV, 2 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  local before, at = string.match(stored or '', '^(%a+) (%d+) %d+$')
  if before == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%s %s %.0f', before, at, now_ms))
  end
end
return redis.status_reply('OK')
