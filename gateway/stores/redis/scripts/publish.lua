-- Publish the state of one process, and give what lies behind the others. One call a process' turn.
-- KEYS: when each was heard (a sorted set), what lies behind each, its state (hashes).
-- ARGV: the process, what lies behind it, its state, the milliseconds after which a state is of
--   nobody, and how many are looked at.
-- Gives {what lies behind, age in milliseconds} of the others, the newest first.
local heard, backs, states = KEYS[1], KEYS[2], KEYS[3]
local process, kept_ms, count = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function drop(from, to)
  local gone = redis.call('ZRANGEBYSCORE', heard, from, to, 'LIMIT', 0, count)
  if #gone > 0 then
    redis.call('ZREM', heard, unpack(gone))
    redis.call('HDEL', backs, unpack(gone))
    redis.call('HDEL', states, unpack(gone))
  end
end
drop('-inf', string.format('(%.0f', now_ms - kept_ms))
-- A clock that was set back leaves what was heard in a time to come: that is of nobody too.
drop(string.format('(%.0f', now_ms + kept_ms), '+inf')

redis.call('ZADD', heard, string.format('%.0f', now_ms), process)
local processes = redis.call('ZCARD', heard)
local function put(key, value)
  redis.call('HSET', key, process, value)
  -- A server that is short of memory may have thrown away the set and not the hash: what nobody
  -- would drop any more goes at once, and who lives is here again at his next turn.
  if redis.call('HLEN', key) > processes then
    redis.call('DEL', key)
    redis.call('HSET', key, process, value)
  end
end
put(backs, ARGV[2])
put(states, ARGV[3])
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, kept_ms)
end

local newest = redis.call('ZREVRANGE', heard, 0, count - 1, 'WITHSCORES')
local others, ages = {}, {}
for i = 1, #newest, 2 do
  local age_ms = now_ms - tonumber(newest[i + 1])
  if newest[i] ~= process and math.abs(age_ms) <= kept_ms then
    others[#others + 1] = newest[i]
    ages[#ages + 1] = math.max(0, age_ms)
  end
end
if #others == 0 then
  return {}
end
local told = {}
for i, back in ipairs(redis.call('HMGET', backs, unpack(others))) do
  if back then
    told[#told + 1] = {back, ages[i]}
  end
end
return told
