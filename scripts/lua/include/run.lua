-- Which Redis process this is: a restart, a restore and a failover change it. A script cannot see that data was lost, but
-- it can see that the process is not the one that was compared with Postgres.
local function run_id() return string.match(redis.call('INFO', 'server'), '\nrun_id:(%x%x%x%x%x%x%x%x%x%x%x%x)') or '' end
