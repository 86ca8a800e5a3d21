#!lua flags=allow-oom
-- release: purchases given back: a place in the line, a hold, or (reason REFUND) a paid and unshipped purchase, whose units
-- go sold → available. What comes free is offered to the head of the line in the same step.
-- KEYS[1] fence  the fence key of the purchases' partition
-- INPUT  { { { purchaseId, buyer or '', reason } … } }     a buyer that is not the owner's finds nothing
-- BODY   { { purchaseId, 'RELEASED' | 'REPLAY' | 'CONFIRMED' | 'NOT_FOUND' | 'CORRUPT', purchase or false } … }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include batch
return decide_batch(INPUT[1], function(id, item, p, sale, s)
  local status, reason = p[STATUS], text_of(item[3])
  if item[2] ~= '' and item[2] ~= p[BUYER] then return 'NOT_FOUND' end
  if status == 'WAITING' then
    end_waiting(sale, s, id, p, 'CANCELLED', reason)
    return 'RELEASED'
  end
  if IS_HELD[status] then
    end_hold(sale, s, id, p, 'CANCELLED', reason)
    return 'RELEASED'
  end
  if status ~= 'CONFIRMED' then return 'REPLAY' end
  if reason ~= 'REFUND' then return 'CONFIRMED' end
  set_status(sale, p, 'REFUNDED')
  p[REASON] = reason
  touch(id, p, p[QUANTITY], 0, -p[QUANTITY])
  return 'RELEASED'
end)
