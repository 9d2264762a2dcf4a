-- Add what one process admitted under some rate limits; return the totals of all processes.
-- KEYS: one for each key of a rate limit. It expires by itself, some time after it is ahead no more.
-- ARGV: the microseconds in which it was admitted, and the half-life of the requests asked; then for
--   each key the requests admitted, those asked, the microseconds of one request, and those that it
--   can be ahead.
-- Returns {microseconds ahead of the rate, requests asked lately} for each key.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local within_us, half_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local totals = {}
for i, key in ipairs(KEYS) do
  local admitted, asked = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local every_us, ahead_us_max = tonumber(ARGV[4 * i + 1]), tonumber(ARGV[4 * i + 2])
  -- Admitted evenly since the exchange before: at the rate no key gets ahead.
  local due_us = now_us - within_us
  -- When all would be due, the requests asked of them, and when that was written.
  local due, recent, since = string.match(redis.call('GET', key) or '', '^(%d+) (%d+%.%d+) (%d+)$')
  if due then
    due_us = math.max(due_us, tonumber(due))
    asked = asked + recent * 0.5 ^ (math.max(0, now_us - since) / half_us)
  end
  -- Also holds where the server's clock was set back: no key is locked out until it catches up.
  due_us = math.min(due_us + admitted * every_us, now_us + ahead_us_max)
  local ahead_us = math.max(0, due_us - now_us)
  local stored = string.format('%.0f %.3f %.0f', due_us, asked, now_us)
  redis.call('SET', key, stored, 'PX', string.format('%.0f', (ahead_us + 10 * half_us) / 1000))
  totals[i] = {string.format('%.0f', ahead_us), string.format('%.3f', asked)}
end
return totals
