-- Remove entries that are committed. KEYS: the stream. ARGV: the group, then the entries' ids.
-- Only entries that were read and not settled are removed: after a wipe, an id may name another.
for i = 2, #ARGV do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
    redis.call('XDEL', KEYS[1], ARGV[i])
  end
end
return #ARGV - 1
