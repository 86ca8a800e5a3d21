#!lua flags=allow-oom
-- rebuild-orders: what orders hold in this partition, so that a repeated checkout finds its first answer. Only while the
-- partition is being rebuilt.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { { { orderId, fingerprint, { purchaseId … } } … } }
-- BODY   { }
--- @include call
--- @include book
--- @include orders
if not redis.call('HGET', FENCE, 'rebuilding') then return redis.error_reply('ERR the partition is not being rebuilt') end
for _, order in ipairs(INPUT[1]) do
  redis.call('SET', order_key(order[1]), cmsgpack.pack({ order[2], order[3] }), 'PX', ORDER_KEPT_MS)
end
return reply('OK', {})
