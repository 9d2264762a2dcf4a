-- Append entries to a stream, in order, and set their claims. One call a batch.
-- KEYS: the stream, then the claims of all entries.
-- ARGV: the group, then for each entry its envelope, the value of its claims, '1' if it is forced,
--   the number of its claims and the seconds that each lives.
-- Returns false for an entry that was appended, else the value of each of its claims (false: free).
-- An entry sees the claims of those before it. Claims that are taken are never changed.
-- All of it is done, or nothing: a server that is full, cannot write its file or is no primary
-- rejects the first write of a script and none after it, and the arguments cannot be wrong.
-- A new stream gets its group at once: once the memory is full no group could be created, and the
-- entries that fill the memory could never be read.
local stream, group = KEYS[1], ARGV[1]
local results = {}
local key, argument = 2, 2
local is_new = redis.call('EXISTS', stream) == 0
while argument <= #ARGV do
  local envelope, value = ARGV[argument], ARGV[argument + 1]
  local is_forced, count = ARGV[argument + 2] == '1', tonumber(ARGV[argument + 3])
  argument = argument + 4
  local existing, is_taken = {}, false
  if count > 0 and not is_forced then
    existing = redis.call('MGET', unpack(KEYS, key, key + count - 1))
    for i = 1, count do
      is_taken = is_taken or existing[i]
    end
  end
  if is_taken then
    results[#results + 1] = existing
  else
    if is_new then
      redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
      is_new = false
    end
    redis.call('XADD', stream, '*', 'envelope', envelope)
    for i = 0, count - 1 do
      redis.call('SET', KEYS[key + i], value, 'EX', ARGV[argument + i], 'NX')
    end
    results[#results + 1] = false
  end
  key, argument = key + count, argument + count
end
return results
