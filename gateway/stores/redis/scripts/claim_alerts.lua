-- Claim the messages of one channel that are to be sent now, as claim_alerts.sql does.
-- KEYS: the hash of the channel: rule -> "state claimed_ms told_ms", told_ms 0: not told.
-- ARGV: milliseconds of a claim, milliseconds until a firing rule is told again, milliseconds until
-- what nobody touches expires; then of each rule its name and state.
-- Returns the rules that were claimed.
local claim_ms, repeat_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local claimed = {}
for i = 4, #ARGV, 2 do
  local rule, state = ARGV[i], ARGV[i + 1]
  local stored = redis.call('HGET', KEYS[1], rule)
  local is_due = false
  local told_ms = 0
  if not stored then
    is_due = state == 'firing'
  else
    local before, at, told = string.match(stored, '^(%a+) (%d+) (%d+)$')
    if before ~= state then
      is_due = true
    elseif tonumber(told) == 0 then
      is_due = now_ms - tonumber(at) >= claim_ms
    elseif state == 'firing' and now_ms - tonumber(told) >= repeat_ms then
      is_due = true
      told_ms = tonumber(told)
    end
  end
  if is_due then
    redis.call('HSET', KEYS[1], rule, string.format('%s %.0f %.0f', state, now_ms, told_ms))
    claimed[#claimed + 1] = rule
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return claimed
