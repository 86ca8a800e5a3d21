#!lua flags=allow-oom
-- sku-block: stops one SKU of a sale, or lets it sell again. Blocked, it reserves and admits nothing and its counts say PAUSED;
-- confirm, release and expire go on. After an unblock its line is looked at by the next sweep. Repeating either changes nothing.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, 'block' | 'unblock', reason, note }     reason: AUDIT, OPERATOR; a block that stands keeps its own
-- BODY   { 'OK' | 'REPLAY' | 'SALE_NOT_FOUND' | 'SKU_NOT_FOUND', counters or false, reason or '' }   reason: '' when it sells
--- @include call
--- @include book
--- @include commit
local SALE_ID, SKU_NAME, VERB, WHY, NOTE = INPUT[1], INPUT[2], INPUT[3], INPUT[4], INPUT[5]
local sale = open_sale(SALE_ID)
if not sale then return reply('OK', { 'SALE_NOT_FOUND', false, '' }) end
local s = open_sku(SALE_ID, SKU_NAME)
if not s then return reply('OK', { 'SKU_NOT_FOUND', false, '' }) end
local key = sku_key('stock', SALE_ID, SKU_NAME)

local function answer(outcome) return reply('OK', { outcome, counters_of(s), s.blocked }) end

if VERB == 'block' then
  if s.was_blocked then return answer('REPLAY') end
  s.blocked = WHY
  further[1] = { 'HSET', key, 'blocked', WHY, 'blockedNote', NOTE, 'blockedAt', string.format('%.0f', NOW) }
else
  if not s.was_blocked then return answer('REPLAY') end
  -- A key that Redis cannot read puts its fault into `s`: then `commit` blocks the SKU again.
  first_hold(s)
  read_of_sku(s, 'LLEN', 'tickets')
  read_of_sku(s, 'ZCARD', 'big')
  if not s.fault then s.blocked = '' end
  s.was_blocked = false
  further[1] = { 'HDEL', key, 'blocked', 'blockedNote', 'blockedAt' }
  if s.waiters > 0 then s.look_at = NOW end
end
s.is_changed = true
commit()
-- No purchase changed, so `commit` had nothing to tell; the counts are told all the same.
redis.call('PUBLISH', FEED, cmsgpack.pack({ 'c', SEQ, { counters_of(s) } }))
return answer('OK')
