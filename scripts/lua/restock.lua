#!lua flags=allow-oom
-- restock: changes the stock loaded into a sale, up or down, never below what is held and sold. Once per operation id;
-- the same id for another change is refused.
-- New units are offered to the line; a smaller stock may end purchases that can no longer be served.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, by, operationId, reason, retentionMs }
-- BODY   { 'OK' | 'REPLAY' | 'KEY_REUSED' | 'BELOW' | 'SALE_NOT_FOUND' | 'SKU_NOT_FOUND' | 'SALE_CLOSED' | 'BAD_REQUEST',
--          counters or false }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
local SALE_ID, SKU_NAME, BY, OPERATION, WHY, KEEP_MS = INPUT[1], INPUT[2], INPUT[3], INPUT[4], INPUT[5], INPUT[6]
if type(BY) ~= 'number' or BY % 1 ~= 0 or BY == 0 or math.abs(BY) > 1e9 or type(OPERATION) ~= 'string'
  or type(KEEP_MS) ~= 'number' or KEEP_MS < 1 then
  return reply('OK', { 'BAD_REQUEST', false })
end
local sale = open_sale(SALE_ID)
if not sale then return reply('OK', { 'SALE_NOT_FOUND', false }) end
local s = open_sku(SALE_ID, SKU_NAME)
if not s then return reply('OK', { 'SKU_NOT_FOUND', false }) end
local change = string.format('%s %.0f', s.member, BY)
local earlier = redis.call('GET', operation_key(OPERATION))
if earlier then return reply('OK', { earlier == change and 'REPLAY' or 'KEY_REUSED', counters_of(s) }) end
settle_state(sale)
if sale.status == 'CLOSED' then
  commit()
  return reply('OK', { 'SALE_CLOSED', counters_of(s) })
end
if s.available + BY < 0 then
  commit()
  return reply('OK', { 'BELOW', counters_of(s) })
end
s.loaded, s.available, s.is_changed = s.loaded + BY, s.available + BY, true
if BY > 0 then come_back(s, BY) end
records[#records + 1] = { 's', take_seq(), OPERATION, SALE_ID, SKU_NAME, { BY, 0, 0, BY }, type(WHY) == 'string' and WHY or '', NOW }
further[#further + 1] = { 'SET', operation_key(OPERATION), change, 'PX', KEEP_MS }
offer(sale, s, 256)
commit()
return reply('OK', { 'OK', counters_of(s) })
