-- What wrk sends (wrk.ts): complete requests from a file, separated by NUL, one after the other and from the start again.
-- They are read before the clock starts. No response function: wrk would build a table of each answer's headers.
local requests, count, at = {}, 0, 0
local threads = {}

function setup(thread) threads[#threads + 1] = thread end

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  for request in file:read('*a'):gmatch('[^%z]+') do
    count = count + 1
    requests[count] = request
  end
  file:close()
  -- Global, so that done can ask the thread for it. wrk asks for one request before it starts, to look at it.
  at = count - 1
  spentBefore = os.clock()
end

function request()
  at = at % count + 1
  return requests[at]
end

function done(summary, latency)
  local e, ms = summary.errors, function(us) return string.format('%.3f', us / 1000) end
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"refused":%d,"lost":%d,"generatorMs":%.0f,"latencies":[%s,%s,%s,%s,%s]}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    (os.clock() - threads[1]:get('spentBefore')) * 1000,
    ms(latency:percentile(50)), ms(latency:percentile(90)), ms(latency:percentile(99)),
    ms(latency:percentile(99.9)), ms(latency.max)))
end
