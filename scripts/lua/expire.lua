#!lua flags=allow-oom
-- expire: ends the due holds of a partition, oldest SKU first, at most 256 a call, and offers their units to the lines,
-- to at most 256 purchases; what is left over is on the agenda of `admit`.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { }
-- BODY   { ended, hasMore, lagMs of the oldest }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
local due = redis.call('ZRANGEBYSCORE', DEADLINES, '-inf', string.format('%d', NOW), 'LIMIT', 0, 64)
local budget, offers, ended, lag = 256, 256, 0, 0
for _, member in ipairs(due) do
  local sale_id, sku = agenda_parts(member)
  local sale = sale_id and open_sale(sale_id)
  local s = sale and open_sku(sale_id, sku)
  if not s then
    further[#further + 1] = { 'ZREM', DEADLINES, member }
  elseif budget > 0 then
    settle_state(sale)
    local count, seen, late = expire_due(sale, s, budget)
    ended, lag, budget = ended + count, math.max(lag, late), budget - seen
    s.is_swept = true
    offers = offer(sale, s, offers)
  end
end
commit()
return reply('OK', { ended, (#due == 64 or budget <= 0) and 1 or 0, lag })
