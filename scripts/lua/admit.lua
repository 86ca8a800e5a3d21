#!lua
-- admit: looks at the lines of a partition that may move: those that a slice, the throttle or the payment backlog left
-- over, and the rooms of sales that have just opened. At most 256 purchases a call.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { backlogMax }
-- BODY   { moved, hasMore }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include memory
local closed_gate = gate(INPUT[1])
if closed_gate then return reply(closed_gate) end
local due = redis.call('ZRANGEBYSCORE', ADMISSIONS, '-inf', string.format('%d', NOW), 'LIMIT', 0, 64)
local budget = 256
for _, member in ipairs(due) do
  local sale_id, sku = agenda_parts(member)
  local sale = sale_id and open_sale(sale_id)
  local s = sale and open_sku(sale_id, sku)
  if not s then
    further[#further + 1] = { 'ZREM', ADMISSIONS, member }
  elseif budget > 0 then
    settle_state(sale)
    -- An opening that settle_state has just made is looked at here; so is a head that a slice left behind.
    s.look_at, s.is_behind = nil, true
    budget = offer(sale, s, budget)
    if not s.look_at then further[#further + 1] = { 'ZREM', ADMISSIONS, member } end
  end
end
commit()
return reply('OK', { 256 - budget, (#due == 64 or budget <= 0) and 1 or 0 })
