#!lua flags=allow-oom
-- confirm: payments that succeeded. A held purchase becomes CONFIRMED: held → sold. One whose hold has ended takes stock
-- again only if enough is available, nobody waits and the buyer's limit allows it; else it is to be refunded, and stays so.
-- KEYS[1] fence  the fence key of the purchases' partition
-- INPUT  { { { purchaseId, paymentRef } … } }
-- BODY   { { purchaseId, 'CONFIRMED' | 'REFUND' | 'ILLEGAL' | 'NOT_FOUND' | 'CORRUPT', purchase or false } … }
--- @include call
--- @include book
--- @include limit
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include batch
local function confirm_held(id, item, p, sale, s)
  set_status(sale, p, 'CONFIRMED')
  p[REASON] = text_of(item[2])
  touch(id, p, 0, -p[QUANTITY], p[QUANTITY])
  return 'CONFIRMED'
end

local function has_room(id, p, sale, s)
  if s.blocked ~= '' or s.waiters > 0 or s.available < p[QUANTITY] then return false end
  if p[ORDER_REF] ~= '' or sale.perBuyerLimit == 0 then return true end
  local units = units_of(sale, p[BUYER], field_of(id))
  return units and units + p[QUANTITY] <= sale.perBuyerLimit
end

local function confirm_late(id, item, p, sale, s)
  if p[REFUND_DUE] == 1 then return 'REFUND' end
  if p[HAD_HOLD] == 1 and has_room(id, p, sale, s) then
    set_status(sale, p, 'CONFIRMED')
    p[REASON] = text_of(item[2])
    bring_home(sale, id)
    touch(id, p, -p[QUANTITY], 0, p[QUANTITY])
    return 'CONFIRMED'
  end
  p[REFUND_DUE], p[REASON] = 1, 'LATE_PAYMENT'
  touch(id, p, 0, 0, 0)
  return 'REFUND'
end

return decide_batch(INPUT[1], function(id, item, p, sale, s)
  local status = p[STATUS]
  if IS_HELD[status] then return confirm_held(id, item, p, sale, s) end
  if status == 'CONFIRMED' then return 'CONFIRMED' end
  if status == 'REFUNDED' then return 'REFUND' end
  if status == 'EXPIRED' or status == 'CANCELLED' then return confirm_late(id, item, p, sale, s) end
  return 'ILLEGAL' -- WAITING and SOLD_OUT were never asked to pay
end)
