-- One call: its clock, its fence, its arguments, its reply. Redis' clock is the one clock and is read once.
-- ARGV[1] epoch, ARGV[2] highest seq the caller saw, ARGV[3] the time in ms or 0, ARGV[4] msgpack of the verb's input.
-- Reply: msgpack [code, epoch, seq, now, body, run]. FENCED, with the reason as its body: EPOCH (emptied, rebuilt, another),
-- BEHIND what the caller was told, UNCHECKED since this process started. A fenced call has changed nothing.
--- @include keys
--- @include run
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local fence = redis.call('HMGET', FENCE, 'epoch', 'seq', 'applied', 'testClock', 'run')
local EPOCH, SEQ, APPLIED = tonumber(fence[1]), tonumber(fence[2]), tonumber(fence[3] or 0)
local NOW, RUN = tonumber(ARGV[3]), run_id()

local function reply(code, body)
  return cmsgpack.pack({ code, EPOCH or 0, SEQ or 0, NOW, body or false, RUN })
end

if not EPOCH or not SEQ or EPOCH ~= tonumber(ARGV[1]) then return reply('FENCED', 'EPOCH') end
if SEQ < tonumber(ARGV[2]) then return reply('FENCED', 'BEHIND') end
if fence[5] ~= RUN then return reply('FENCED', 'UNCHECKED') end
if NOW ~= 0 and fence[4] ~= '1' then return redis.error_reply('ERR the time may be handed in by tests only') end
if NOW == 0 then NOW = clock() end

local INPUT = cmsgpack.unpack(ARGV[4])
