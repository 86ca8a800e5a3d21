-- What the clock does to a sale: it opens at `opensAt`, it closes at `closesAt`. Any script that meets the sale first
-- moves it; the sweep meets it when nobody else does.
local RETENTION_MS = 86400000 -- what was answered stays in Redis until 24 h after the sale closed

local function look_at_lines(sale, at)
  for _, sku in ipairs(skus_of(sale)) do
    local s = open_sku(sale.id, sku)
    if s and s.waiters > 0 then s.look_at = at end
  end
end

local function plan_schedule(sale)
  local at
  if sale.status == 'CLOSED' then
    at = sale.closing == 1 and NOW or sale.purgeAt
  elseif sale.status == 'SCHEDULED' and sale.opensAt > 0 then
    at = sale.opensAt
  end
  if sale.status ~= 'CLOSED' and sale.closesAt > 0 and (not at or sale.closesAt < at) then at = sale.closesAt end
  return at
end

local function open_now(sale)
  set_sale_status(sale, 'OPEN')
  sale.tokensAt = NOW
  look_at_lines(sale, NOW)
end

local function close_now(sale)
  set_sale_status(sale, 'CLOSED')
  sale.closing, sale.purgeAt = 1, NOW + RETENTION_MS
end

local function settle_state(sale)
  if sale.status == 'SCHEDULED' and sale.opensAt > 0 and NOW >= sale.opensAt then open_now(sale) end
  if sale.status ~= 'CLOSED' and sale.closesAt > 0 and NOW >= sale.closesAt then close_now(sale) end
end

-- Ends the line of a closed sale in slices. Returns what is left of the budget.
local function end_line(sale, budget)
  for _, sku in ipairs(skus_of(sale)) do
    local s = open_sku(sale.id, sku)
    if s and s.waiters > 0 then
      budget = walk_line(s, budget, 64, function(id, p)
        end_waiting(sale, s, id, p, 'CANCELLED', 'SALE_CLOSED')
        return true
      end)
    end
  end
  if budget > 0 then sale.closing, sale.is_changed = 0, true end
  return budget
end
