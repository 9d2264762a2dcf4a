-- Distinct orders for wrk, with the same bytes as those of loadtest/orders.py.
--
--   wrk -t1 -c64 -d8s -H "Authorization: Bearer ..." -s orders.lua URL -- templates.jsonl
--
-- The file holds one template per line; order n comes from line n mod (number of lines), with
-- the serial number n in place of each MARK. One thread only: each wrk thread would count from
-- zero. A request costs one number-to-text and one concatenation: wrk shares the machine with
-- the service that it measures.

local MARK = "########"
local requests, count, serial = {}, 0, 0

local function split(text)
  local parts, from = {}, 1
  while true do
    local at = text:find(MARK, from, true)
    if not at then
      parts[#parts + 1] = text:sub(from)
      return parts
    end
    parts[#parts + 1] = text:sub(from, at - 1)
    from = at + #MARK
  end
end

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for line in io.lines(args[1]) do
    -- The mark is as wide as the number, so the Content-Length stays correct.
    requests[#requests + 1] = split(wrk.format(nil, nil, nil, line))
    assert(#requests[#requests] == 5, "a template holds the mark four times")
  end
  count = #requests
end

function request()
  local r, n = requests[serial % count + 1], string.format("%08d", serial)
  serial = serial + 1
  return r[1] .. n .. r[2] .. n .. r[3] .. n .. r[4] .. n .. r[5]
end

-- One machine-readable line; times in milliseconds, the duration in seconds.
function done(summary, latency, _)
  local e = summary.errors
  print(string.format(
    'WRK {"answered":%d,"not_2xx":%d,"socket_errors":%d,"timeouts":%d,"seconds":%.6f,' ..
    '"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}',
    summary.requests, e.status, e.connect + e.read + e.write, e.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3))
end
