-- Publish the heartbeat of one process, and return the back load of the others: one call each time.
-- KEYS: when each process was last seen (a sorted set), its back load, its snapshot (hashes).
-- ARGV: the process, its back load, its snapshot, the milliseconds after which a snapshot expires,
--   and how many processes are read at most.
-- Returns {back load, age in milliseconds} of the others, the newest first.
local seen, backs, states = KEYS[1], KEYS[2], KEYS[3]
local process, expires_ms, count = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function drop(from, to)
  local gone = redis.call('ZRANGEBYSCORE', seen, from, to, 'LIMIT', 0, count)
  if #gone > 0 then
    redis.call('ZREM', seen, unpack(gone))
    redis.call('HDEL', backs, unpack(gone))
    redis.call('HDEL', states, unpack(gone))
  end
end
drop('-inf', string.format('(%.0f', now_ms - expires_ms))
-- A clock that was set back leaves entries in the future: those expire too.
drop(string.format('(%.0f', now_ms + expires_ms), '+inf')

redis.call('ZADD', seen, string.format('%.0f', now_ms), process)
local processes = redis.call('ZCARD', seen)
local function put(key, value)
  redis.call('HSET', key, process, value)
  -- A server short of memory may have evicted the set and not the hash: what nothing would drop any
  -- more goes at once, and living processes are here again with their next heartbeat.
  if redis.call('HLEN', key) > processes then
    redis.call('DEL', key)
    redis.call('HSET', key, process, value)
  end
end
put(backs, ARGV[2])
put(states, ARGV[3])
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, expires_ms)
end

local newest = redis.call('ZREVRANGE', seen, 0, count - 1, 'WITHSCORES')
local others, ages = {}, {}
for i = 1, #newest, 2 do
  local age_ms = now_ms - tonumber(newest[i + 1])
  if newest[i] ~= process and math.abs(age_ms) <= expires_ms then
    others[#others + 1] = newest[i]
    ages[#ages + 1] = math.max(0, age_ms)
  end
end
if #others == 0 then
  return {}
end
local answer = {}
for i, back in ipairs(redis.call('HMGET', backs, unpack(others))) do
  if back then
    answer[#answer + 1] = {back, ages[i]}
  end
end
return answer
