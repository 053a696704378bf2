-- What wrk of requests.py runs. With a file of cookies, a line each, every request carries the
-- next one; at the end it says in JSON what wrk counted.

local cookies, turn = {}, 0

function init(args)
  if args[1] == nil then
    return
  end
  for line in io.lines(args[1]) do
    local headers = { Cookie = line }
    for name, value in pairs(wrk.headers) do
      headers[name] = value
    end
    cookies[#cookies + 1] = wrk.format("GET", "/", headers)
  end
  request = function()
    turn = turn % #cookies + 1
    return cookies[turn]
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "us": %d, "refused": %d, "lost": %d, "late": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write, e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
