-- Remove entries that are committed. KEYS: the stream. ARGV: the group, then the entries' ids.
-- Only what was read and not settled is removed: after a wipe, an id may name another entry.
for i = 2, #ARGV do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
    redis.call('XDEL', KEYS[1], ARGV[i])
  end
end
return #ARGV - 1
