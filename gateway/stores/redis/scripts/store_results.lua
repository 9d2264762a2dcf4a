-- Store results, each for ARGV[1] seconds. One call a batch.
-- Called only after the commit, or the append to the journal: what is stored is true.
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1])
end
return #KEYS
