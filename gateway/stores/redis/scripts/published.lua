-- Give the states that are published. Changes nothing.
-- KEYS: when each process was heard (a sorted set), its state (a hash).
-- ARGV: the milliseconds after which a state is of nobody, and how many are given at most.
-- Gives {state, age in milliseconds}, the newest first.
local kept_ms, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = redis.call('ZREVRANGE', KEYS[1], 0, count - 1, 'WITHSCORES')
local published = {}
for i = 1, #newest, 2 do
  local age_ms = now_ms - tonumber(newest[i + 1])
  local state = redis.call('HGET', KEYS[2], newest[i])
  if state and math.abs(age_ms) <= kept_ms then
    published[#published + 1] = {state, math.max(0, age_ms)}
  end
end
return published
