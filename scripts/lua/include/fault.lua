-- When a SKU must sell no more: a write about it was refused, or its counts do not add up. It alone is blocked; confirm,
-- release and expire go on. An operator, or a rebuild, lifts it.

-- Whatever somebody did to the keys: from counts that do not add up nothing is sold on.
local function adds_up(s)
  return s.available + s.held + s.sold == s.loaded and s.available >= 0 and s.held >= 0 and s.sold >= 0
end

local function block(s, reason)
  s.blocked = 'FAULT'
  if s.was_blocked then return end
  redis.log(redis.LOG_WARNING, 'doorbuster: ' .. s.member .. ' is blocked: ' .. reason)
  redis.pcall('HSET', sku_key('stock', s.sale_id, s.sku), 'blocked', 'FAULT')
end
