#!lua flags=allow-oom
-- bucket-move: one half of a transfer between buckets of a sale. `take` gives up units that nobody here waits for, as many as
-- there are up to `most`; how many is decided once per operation id. `give` adds them to another bucket, once, in any state.
-- KEYS[1] fence  the fence key of the bucket's partition
-- INPUT  { saleId, sku, 'take' | 'give', most, operationId, isPressed 0/1, keepMs }
--        isPressed: also what waits behind a head that asks for more than there is
-- BODY   { 'OK' | 'SALE_NOT_FOUND' | 'SKU_NOT_FOUND' | 'KEY_REUSED', units }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
local SALE_ID, SKU_NAME, VERB, MOST, OPERATION, IS_PRESSED, KEEP_MS = unpack(INPUT, 1, 7)
local sale = open_sale(SALE_ID)
if not sale then return reply('OK', { 'SALE_NOT_FOUND', 0 }) end
local s = open_sku(SALE_ID, SKU_NAME)
if not s then return reply('OK', { 'SKU_NOT_FOUND', 0 }) end
local earlier = redis.call('GET', operation_key(OPERATION))
if earlier then
  local member, by = string.match(earlier, '^(%S+ %S+) (-?%d+)$')
  if member ~= s.member then return reply('OK', { 'KEY_REUSED', 0 }) end
  return reply('OK', { 'OK', math.abs(tonumber(by)) })
end
settle_state(sale)

-- Those who wait here come first: only what they cannot take, now or later, is free to go.
local function spare()
  offer(sale, s, 256)
  if not is_selling(sale, s) or s.available <= 0 then return 0 end
  if s.waiters > 0 and (IS_PRESSED ~= 1 or s.look_at) then return 0 end
  return math.min(s.available, MOST)
end

local by = VERB == 'give' and MOST or -spare()
if by ~= 0 then
  s.loaded, s.available, s.is_changed = s.loaded + by, s.available + by, true
  if by > 0 then come_back(s, by) end
  records[#records + 1] = { 's', take_seq(), OPERATION, SALE_ID, SKU_NAME, { by, 0, 0, by }, 'TRANSFER', NOW }
end
further[#further + 1] = { 'SET', operation_key(OPERATION), string.format('%s %.0f', s.member, by), 'PX', KEEP_MS }
if by > 0 then offer(sale, s, 256) end
commit()
return reply('OK', { 'OK', math.abs(by) })
