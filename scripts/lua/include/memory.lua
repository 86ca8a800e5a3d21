-- Newcomers are refused while Redis still has room to confirm, release and expire what it holds, and while the workers
-- still can catch up with the outbox.
local function gate(backlog_max)
  if SEQ - APPLIED > backlog_max then return 'BACKLOG_FULL' end
  local info = redis.call('INFO', 'memory')
  local max = tonumber(string.match(info, '\nmaxmemory:(%d+)') or 0)
  if max > 0 and tonumber(string.match(info, 'used_memory:(%d+)') or 0) > 0.8 * max then return 'LOW_MEMORY' end
  return nil
end
