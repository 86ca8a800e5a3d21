#!lua flags=allow-oom
-- mark: what the payment told of a purchase: started (PAYMENT_PENDING), failed (PAYMENT_FAILED: the buyer may try again
-- while the hold lasts), returned (REFUNDED). No unit moves.
-- KEYS[1] fence  the fence key of the purchases' partition
-- INPUT  { { { purchaseId, status, reason } … } }
-- BODY   { { purchaseId, 'MARKED' | 'REPLAY' | 'ILLEGAL' | 'NOT_FOUND' | 'CORRUPT', purchase or false } … }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include batch
local MOVES = {
  PAYMENT_PENDING = { RESERVED = true, PAYMENT_FAILED = true },
  PAYMENT_FAILED = { RESERVED = true, PAYMENT_PENDING = true },
  REFUNDED = { EXPIRED = true, CANCELLED = true },
}

return decide_batch(INPUT[1], function(id, item, p, sale, _)
  local target = item[2]
  if p[STATUS] == target then return 'REPLAY' end
  local moves = MOVES[target]
  if not moves or not moves[p[STATUS]] then return 'ILLEGAL' end
  if target == 'REFUNDED' and p[REFUND_DUE] ~= 1 then return 'ILLEGAL' end
  set_status(sale, p, target)
  p[REASON] = text_of(item[3])
  touch(id, p, 0, 0, 0)
  return 'MARKED'
end)
