-- The end of a hold: its stock goes back and is offered to the line in the same script.
local function end_hold(sale, s, id, p, status, reason)
  s.holds_rem[#s.holds_rem + 1] = id
  set_status(sale, p, status)
  p[REASON] = reason
  uncount_buyer(sale, p)
  touch(id, p, p[QUANTITY], -p[QUANTITY], 0)
end

-- Ends the due holds of a SKU, oldest first. Returns how many, and the lag of the oldest in ms.
local function expire_due(sale, s, budget)
  if first_hold(s) > NOW or s.first_hold == 0 then return 0, 0, 0 end
  local due = read_sorted(s, 'ZRANGEBYSCORE', sku_key('holds', s.sale_id, s.sku), '-inf', string.format('%.0f', NOW),
    'WITHSCORES', 'LIMIT', 0, budget)
  local ids, ended = {}, 0
  for i = 1, #due, 2 do ids[#ids + 1] = due[i] end
  read_into_book(ids)
  for _, id in ipairs(ids) do
    local p = purchases[id]
    if p and IS_HELD[p[STATUS]] then
      end_hold(sale, s, id, p, 'EXPIRED', 'HOLD_EXPIRED')
      ended = ended + 1
    else -- no live hold stands behind it: the audit tells of it, the sweep must not meet it for ever
      s.holds_rem[#s.holds_rem + 1], s.is_changed = id, true
    end
  end
  if #ids > 0 then s.is_swept = true end
  return ended, #ids, due[2] and NOW - tonumber(due[2]) or 0
end
