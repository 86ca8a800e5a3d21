#!lua flags=no-writes
-- snapshot: the counts of sales at one moment.
-- KEYS[1] fence  the fence key of the sales' partition
-- INPUT  { { saleId … } }
-- BODY   { { saleId, status, version, { counters … } } or false … }    one per sale asked for, in order
--- @include call
--- @include book
--- @include commit
local results = {}
for i, id in ipairs(INPUT[1]) do
  local sale = open_sale(id)
  if sale then
    local items = {}
    for _, sku in ipairs(skus_of(sale)) do
      local s = open_sku(id, sku)
      if s then items[#items + 1] = counters_of(s) end
    end
    results[i] = { id, sale.status, sale.version, items }
  else
    results[i] = false
  end
end
return reply('OK', results)
