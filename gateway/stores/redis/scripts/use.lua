-- Add what one process let in of some quotas; give how all processes together stand.
-- KEYS: one for each quota. It expires by itself, some time after nobody is ahead any more.
-- ARGV: in how many microseconds it was let in, and those after which what was asked counts half;
--   then for each quota what was let in, what was asked, the microseconds of one request, and those
--   that it can be ahead.
-- Gives {microseconds ahead of the rate, what was asked lately} for each quota.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local within_us, half_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local totals = {}
for i, key in ipairs(KEYS) do
  local let_in, asked = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local every_us, most_us = tonumber(ARGV[4 * i + 1]), tonumber(ARGV[4 * i + 2])
  -- Let in evenly since the time before: at the rate nobody gets ahead.
  local due_us = now_us - within_us
  -- When all would be due, what was asked of them, and when that was written.
  local due, lately, since = string.match(redis.call('GET', key) or '', '^(%d+) (%d+%.%d+) (%d+)$')
  if due then
    due_us = math.max(due_us, tonumber(due))
    asked = asked + lately * 0.5 ^ (math.max(0, now_us - since) / half_us)
  end
  -- Also holds where the server's clock was set back: nobody is locked out until it is as late.
  due_us = math.min(due_us + let_in * every_us, now_us + most_us)
  local ahead_us = math.max(0, due_us - now_us)
  local kept = string.format('%.0f %.3f %.0f', due_us, asked, now_us)
  redis.call('SET', key, kept, 'PX', string.format('%.0f', (ahead_us + 10 * half_us) / 1000))
  totals[i] = {string.format('%.0f', ahead_us), string.format('%.3f', asked)}
end
return totals
