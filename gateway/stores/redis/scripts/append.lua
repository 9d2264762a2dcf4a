-- Append entries to a stream, in order, and set their claims. One call a batch.
-- KEYS: the stream, then the claims of all entries.
-- ARGV: the group, then for each entry its envelope, what is known under its claims, '1' if it is
--   forced, the number of its claims and the seconds each is kept.
-- Gives false for an entry that was appended, else what stands under each of its claims. It sees
-- the claims of the entries before it. Claims that stand are never changed.
-- It is done whole or not at all. A server that is full, cannot write its file or is no primary
-- refuses the first write of a script and none after it, and the arguments cannot be wrong.
-- A new stream gets its group at once: once the memory is full no group could be made, and what
-- fills the memory would never be read.
local stream, group = KEYS[1], ARGV[1]
local results = {}
local key, argument = 2, 2
local is_new = redis.call('EXISTS', stream) == 0
while argument <= #ARGV do
  local envelope, known = ARGV[argument], ARGV[argument + 1]
  local is_forced, count = ARGV[argument + 2] == '1', tonumber(ARGV[argument + 3])
  argument = argument + 4
  local standing, is_known = {}, false
  if count > 0 and not is_forced then
    standing = redis.call('MGET', unpack(KEYS, key, key + count - 1))
    for i = 1, count do
      is_known = is_known or standing[i]
    end
  end
  if is_known then
    results[#results + 1] = standing
  else
    if is_new then
      redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
      is_new = false
    end
    redis.call('XADD', stream, '*', 'envelope', envelope)
    for i = 0, count - 1 do
      redis.call('SET', KEYS[key + i], known, 'EX', ARGV[argument + i], 'NX')
    end
    results[#results + 1] = false
  end
  key, argument = key + count, argument + count
end
return results
