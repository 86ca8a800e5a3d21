-- The line of a SKU: who waits gets what is free, in the order of the tickets. `offer` is called in every script that
-- may have freed stock, and by `admit` for what a slice, the throttle or the payment backlog left over.
--- @include line-walk
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

-- Ends those who wait for more than `most` units.
local function end_large(sale, s, most, budget)
  local from = 0
  while budget > 0 do
    local ids = read_of_sku(s, 'ZRANGEBYSCORE', 'big', '(' .. string.format('%d', most), '+inf', 'LIMIT', from, PAGE)
    read_into_book(ids)
    for _, id in ipairs(ids) do
      if budget <= 0 then return 0 end
      local p = purchases[id]
      if p and p[STATUS] == 'WAITING' then
        end_waiting(sale, s, id, p, 'SOLD_OUT', 'SOLD_OUT')
        budget = budget - 1
      elseif not p then
        drop_stranger(s, id)
      end
    end
    if #ids < PAGE then return budget end
    from = from + PAGE
  end
  return 0
end

-- In the script that makes what is unsold smaller than a waiting quantity, that purchase becomes SOLD_OUT.
local function end_hopeless(sale, s, budget)
  if s.waiters == 0 then return budget end
  local remaining = unsold_of(s)
  if remaining > 0 then return end_large(sale, s, remaining, budget) end
  return walk_line(s, budget, PAGE, function(id, p)
    end_waiting(sale, s, id, p, 'SOLD_OUT', 'SOLD_OUT')
    return true
  end)
end

local function is_selling(sale, s) return sale.status == 'OPEN' and s.blocked == '' end

-- Gives free stock to the head of the line, again and again; the head blocks while its quantity may still come.
local function offer(sale, s, budget)
  budget = end_hopeless(sale, s, budget)
  local is_free = s.available > 0 and is_selling(sale, s)
  if s.waiters > 0 and budget > 0 and (is_free or s.is_behind) then
    -- As many as may be served, and the one behind them.
    budget = walk_line(s, budget, math.min(PAGE, is_free and s.available + 1 or 2), function(id, p)
      if p[QUANTITY] > s.available then return false end
      if not is_free then return false end
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
