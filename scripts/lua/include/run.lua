-- Which Redis process this is: a restart, a restore and a failover change it. A script cannot see that data was lost, but
-- it can see that the process is not the one that was compared with Postgres.
local function run_id()
  local info = redis.call('INFO', 'server')
  local _, last = string.find(info, '\nrun_id:', 1, true)
  return last and string.sub(info, last + 1, last + 12) or ''
end
