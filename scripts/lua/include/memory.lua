-- Newcomers are refused while Redis still has room to confirm, release and expire what it holds, and while the workers
-- still can catch up with the outbox.
local function number_in(info, name)
  local _, last = string.find(info, name, 1, true)
  return last and tonumber(string.match(info, '^%d+', last + 1)) or 0
end

local function gate(backlog_max)
  if SEQ - APPLIED > backlog_max then return 'BACKLOG_FULL' end
  local info = redis.call('INFO', 'memory')
  local max = number_in(info, '\nmaxmemory:')
  if max > 0 and number_in(info, 'used_memory:') > 0.8 * max then return 'LOW_MEMORY' end
  return nil
end
