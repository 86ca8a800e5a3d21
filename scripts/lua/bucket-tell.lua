#!lua flags=allow-oom
-- bucket-tell: a bucket learns how many units are unsold in all buckets of its sale, at most. From then on it may say
-- SOLD_OUT to who asks for more, and those who wait for more are told. Nothing changes where somebody else has told, or
-- units came back, since the counts were read that this comes from.
-- KEYS[1] fence  the fence key of the bucket's partition
-- INPUT  { saleId, { { sku, everywhere as it was read, everywhere from now on } … } }     both are 1 + units
-- BODY   { SKUs that were told }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
local SALE_ID, ITEMS = INPUT[1], INPUT[2]
local sale, told = open_sale(SALE_ID), {}
if not sale then return reply('OK', { 0 }) end
settle_state(sale)
for _, item in ipairs(ITEMS) do
  local s = open_sku(SALE_ID, item[1])
  if s and s.everywhere == item[2] and item[3] >= 1 then
    s.everywhere, s.is_changed = item[3], true
    offer(sale, s, 256)
    told[#told + 1] = s
  end
end
commit()
-- Where no purchase changed, `commit` had nothing to tell; the counts are told all the same.
local counters = {}
for i, s in ipairs(told) do counters[i] = counters_of(s) end
if #told > 0 then redis.call('PUBLISH', FEED, cmsgpack.pack({ 'c', SEQ, counters })) end
return reply('OK', { #told })
