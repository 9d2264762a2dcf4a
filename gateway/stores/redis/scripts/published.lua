-- Return the snapshots that are published. Changes nothing.
-- KEYS: when each process was last seen (a sorted set), its snapshot (a hash).
-- ARGV: the milliseconds after which a snapshot expires, and how many are returned at most.
-- Returns {snapshot, age in milliseconds}, the newest first.
local expires_ms, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local newest = redis.call('ZREVRANGE', KEYS[1], 0, count - 1, 'WITHSCORES')
local published = {}
for i = 1, #newest, 2 do
  local age_ms = now_ms - tonumber(newest[i + 1])
  local state = redis.call('HGET', KEYS[2], newest[i])
  if state and math.abs(age_ms) <= expires_ms then
    published[#published + 1] = {state, math.max(0, age_ms)}
  end
end
return published
