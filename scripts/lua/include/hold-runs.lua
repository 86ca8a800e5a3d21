-- Where holds stand by their end. All holds of a SKU last equally long, so they end in the order in which they are made, and
-- those who come at once end at once: the list `holds` has one '<end> <first ticket> <last ticket>' for a whole run of them. Who
-- has no ticket (an order), or would stand out of order (a clock that was set back, a rebuild), is in the zset `ends`.
-- Nobody is taken out before the time has come: what was paid or given back by then is passed over. So the list is as long as
-- what is made within the time of a hold: 30 bytes for each run, however many are in it, and one look at each purchase.
local RUN_GAP = 8 -- tickets that a run may cover without a hold of them: each costs the sweep a look

-- What no script wrote is due, and nobody's.
local function run_of(text)
  local ends, first, last = string.match(type(text) == 'string' and text or '', '^(%d+) (%d+) (%d+)$')
  if not ends then return { ends = 1, first = 1, last = 0 } end
  return { ends = tonumber(ends), first = tonumber(first), last = tonumber(last) }
end

local function text_of_run(run) return string.format('%d %d %d', run.ends, run.first, run.last) end

-- When the first hold ends, at the earliest; 0 without one. Asked once, and again after holds have left.
local function first_hold(s)
  if not s.first_hold then
    local run = read_of_sku(s, 'LINDEX', 'holds', 0)
    if not run and not s.last_run then s.last_run = run_of('') end
    local single = tonumber(read_of_sku(s, 'ZRANGE', 'ends', 0, 0, 'WITHSCORES')[2] or 0)
    local ends = type(run) == 'string' and run_of(run).ends or 0
    s.first_hold = (ends == 0 or single > 0 and single < ends) and single or ends
  end
  return s.first_hold
end

-- A hold has begun, or is built again.
local function add_hold(s, id, ticket, ends)
  local run = s.last_run
  if run and run.ends == ends and ticket > run.last and ticket - run.last <= RUN_GAP and #s.runs_add > 0 then
    run.last = ticket
    return
  end
  run = run or run_of(read_of_sku(s, 'LINDEX', 'holds', -1))
  if ticket > run.last and ends >= run.ends then
    run = { ends = ends, first = ticket, last = ticket }
    s.runs_add[#s.runs_add + 1] = run
  else
    s.ends_add[#s.ends_add + 1], s.ends_add[#s.ends_add + 2] = string.format('%d', ends), id
  end
  s.last_run = run
end

-- The ids of the first runs that are due, of at most `most` tickets, and what is to be written of those runs. Without the list
-- of tickets nothing can be taken: the SKU is blocked by then.
local function take_runs(s, most)
  local ids, from, size = {}, 0, 4
  while true do
    local texts = read_of_sku(s, 'LRANGE', 'holds', from, from + size - 1)
    for _, text in ipairs(texts) do
      local run = run_of(text)
      if run.ends > NOW or most <= 0 then return ids, most end
      local to = math.min(run.last, run.first + most - 1)
      for _, id in ipairs(to < run.first and {} or ids_of(read_of_sku(s, 'LRANGE', 'tickets', run.first - 1, to - 1))) do
        ids[#ids + 1] = id
      end
      if s.fault then return ids, most end
      most = most - math.max(1, to - run.first + 1)
      if to < run.last then
        run.first = to + 1
        s.rest_of_run = text_of_run(run)
        return ids, most
      end
      from = from + 1
      s.runs_taken = from
    end
    if #texts < size then return ids, most end
    size = 64
  end
end

-- The ids whose holds are due, by the list and by the set, and what is left of `most`.
local function take_due(s, most)
  local ids, left = take_runs(s, most)
  if left <= 0 then return ids, left end
  local singles = read_of_sku(s, 'ZRANGEBYSCORE', 'ends', '-inf', string.format('%d', NOW), 'LIMIT', 0, left)
  for _, id in ipairs(singles) do ids[#ids + 1], s.ends_rem[#s.ends_rem + 1] = id, id end
  return ids, left - #singles
end
