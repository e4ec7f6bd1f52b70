-- Sends requests at random out of a file of whole HTTP requests, each behind a line with its length in bytes, and prints
-- what came of it as one line of JSON.
-- wrk ... -s requests.lua URL -- FILE SEED

local requests = {}

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
    file:read(1)
  end
  file:close()
  math.randomseed(tonumber(arguments[2]))
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "longest": %d, "bytes": %d, "refused": %d, "broken": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max, summary.bytes,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
