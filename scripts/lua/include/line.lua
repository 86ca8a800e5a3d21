-- The line of a SKU: who waits gets what is free, in the order of the tickets. `offer` is called in every script that
-- may have freed stock, and by `admit` for what a slice, the throttle or the payment backlog left over.
local function leave_line(s, id, p)
  s.line_rem[#s.line_rem + 1], s.left[id] = id, true
  if p[QUANTITY] > 1 then s.big_rem[#s.big_rem + 1] = id end
  s.waiters, s.waiting = s.waiters - 1, s.waiting - p[QUANTITY]
end

-- Ends a waiting purchase: SOLD_OUT for certain, or CANCELLED.
local function end_waiting(sale, s, id, p, status, reason)
  leave_line(s, id, p)
  set_status(sale, p, status)
  p[REASON] = reason
  uncount_buyer(sale, p)
  touch(id, p, 0, 0, 0)
end

-- Whether the sale may admit one more now: takes a token of the throttle. If not, changes nothing and says when to ask
-- again.
local function take_admission(sale)
  if sale.startBacklogLimit > 0 and sale.unstarted >= sale.startBacklogLimit then return false, NOW + 100 end
  local rate = sale.admissionPerSecond
  if rate <= 0 then return true end
  local capacity = math.max(1, rate / 2) -- half a second of burst covers the pace of the sweep
  -- The clock of a machine may be set back: that takes no token away.
  local tokens = math.min(capacity, sale.tokens + math.max(0, NOW - sale.tokensAt) * rate / 1000)
  if tokens < 1 - 1e-9 then return false, NOW + math.ceil((1 - tokens) * 1000 / rate) end
  sale.tokens, sale.tokensAt, sale.is_changed = math.max(0, tokens - 1), math.max(sale.tokensAt, NOW), true
  return true
end

-- Reads a page of waiting purchases.
local function page_of(s, key, by, from, size)
  local ids
  if by then
    ids = read_sorted(s, 'ZRANGEBYSCORE', key, by, '+inf', 'LIMIT', from, size)
  else
    ids = read_sorted(s, 'ZRANGE', key, from, from + size - 1)
  end
  read_into_book(ids)
  return ids
end

-- Drops a member that is no waiting purchase (its bytes were lost); it can never be served and must not block.
local function drop_stranger(s, id)
  local score = read_sorted(s, 'ZSCORE', sku_key('big', s.sale_id, s.sku), id)
  local units = type(score) == 'string' and tonumber(score) or 1
  s.line_rem[#s.line_rem + 1], s.big_rem[#s.big_rem + 1], s.left[id] = id, id, true
  s.waiters, s.waiting, s.is_changed = s.waiters - 1, s.waiting - units, true
end

-- Walks waiting purchases of `key` until `visit` says stop or the budget is used. Returns what is left of the budget.
local function walk_line(s, key, by, budget, visit)
  local from, size = 0, 64
  while budget > 0 do
    local ids = page_of(s, key, by, from, size)
    for _, id in ipairs(ids) do
      if budget <= 0 then return 0 end
      if not s.left[id] then
        local p = purchases[id]
        if not p or p[STATUS] ~= 'WAITING' then
          drop_stranger(s, id)
        elseif not visit(id, p) then
          return budget
        end
        budget = budget - 1
      end
    end
    if #ids < size then return budget end
    from = from + size
  end
  return 0
end

-- In the script that makes what is unsold smaller than a waiting quantity, that purchase becomes SOLD_OUT.
local function end_hopeless(sale, s, budget)
  local remaining = unsold_of(s)
  local function visit(id, p)
    end_waiting(sale, s, id, p, 'SOLD_OUT', 'SOLD_OUT')
    return true
  end
  if s.waiters == 0 then return budget end
  if remaining <= 0 then return walk_line(s, sku_key('line', s.sale_id, s.sku), nil, budget, visit) end
  return walk_line(s, sku_key('big', s.sale_id, s.sku), '(' .. string.format('%.0f', remaining), budget, visit)
end

local function is_selling(sale, s) return sale.status == 'OPEN' and s.blocked == '' end

-- Gives free stock to the head of the line, again and again; the head blocks while its quantity may still come.
local function offer(sale, s, budget)
  budget = end_hopeless(sale, s, budget)
  if s.waiters > 0 and budget > 0 and is_selling(sale, s) then
    budget = walk_line(s, sku_key('line', s.sale_id, s.sku), nil, budget, function(id, p)
      if p[QUANTITY] > s.available then return false end
      local is_admitted, later = take_admission(sale)
      if not is_admitted then
        s.look_at = later
        return false
      end
      leave_line(s, id, p)
      start_hold(sale, s, id, p)
      return true
    end)
  end
  if budget <= 0 and s.waiters > 0 then s.look_at = NOW end
  return budget
end
