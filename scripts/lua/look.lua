#!lua flags=no-writes
-- look: purchases as they are now, with what their place and wait are computed from.
-- KEYS[1] fence  the fence key of the purchases' partition
-- INPUT  { { purchaseId … } }
-- BODY   { { purchase, context } or false … }    one per id asked for, in order
--- @include call
--- @include book
--- @include commit
--- @include context
local ids = {}
for _, id in ipairs(INPUT[1]) do
  if type(id) == 'string' then ids[#ids + 1] = id end
end
read_into_book(ids)
local contexts, results = {}, {}
for i, id in ipairs(INPUT[1]) do
  local p = purchases[id]
  local sale = p and open_sale(p[SALE])
  local s = sale and open_sku(p[SALE], p[SKU])
  if s then
    contexts[s.member] = contexts[s.member] or context_of(sale, s)
    results[i] = { p, contexts[s.member] }
  else
    results[i] = false
  end
end
return reply('OK', results)
