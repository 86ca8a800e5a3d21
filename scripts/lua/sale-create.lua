#!lua
-- sale-create: installs a sale with its SKUs and loads their stock. Once per sale id: a repeat changes nothing.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, { opensAt, closesAt, holdMs, perBuyerLimit, lineLimit or -1, admissionPerSecond, startBacklogLimit },
--          startNow 0/1, { { sku, stock, unitPrice, currency } … } }            absent times and limits are 0
-- BODY   { created 0/1 }
--- @include call
--- @include book
--- @include buyers
--- @include commit
--- @include line
--- @include state
local SALE_ID, TERMS, START_NOW, ITEMS = INPUT[1], INPUT[2], INPUT[3], INPUT[4]
if open_sale(SALE_ID) then return reply('OK', { 0 }) end

local names = {}
for i = 1, 7 do
  if type(TERMS[i]) ~= 'number' then return redis.error_reply('ERR term ' .. i .. ' of the sale is not a number') end
end
for _, item in ipairs(ITEMS) do
  if type(item[1]) ~= 'string' or type(item[2]) ~= 'number' or type(item[3]) ~= 'number' or type(item[4]) ~= 'string' then
    return redis.error_reply('ERR an item of the sale is not { sku, stock, unitPrice, currency }')
  end
  names[#names + 1] = item[1]
end
redis.call('HSET', sale_key(SALE_ID), 'status', 'SCHEDULED', 'skus', table.concat(names, ' '), 'version', 0,
  'opensAt', string.format('%.0f', TERMS[1]), 'closesAt', string.format('%.0f', TERMS[2]), 'holdMs', TERMS[3],
  'perBuyerLimit', TERMS[4], 'lineLimit', TERMS[5], 'admissionPerSecond', TERMS[6], 'startBacklogLimit', TERMS[7])
for _, item in ipairs(ITEMS) do
  redis.call('HSET', sku_key('stock', SALE_ID, item[1]), 'currency', item[4], 'unitPrice', string.format('%.0f', item[3]))
end

sales[SALE_ID] = nil
local sale = open_sale(SALE_ID)
set_sale_status(sale, 'SCHEDULED')
for _, item in ipairs(ITEMS) do
  local s, stock = open_sku(SALE_ID, item[1]), item[2]
  s.loaded, s.available, s.is_changed = stock, stock, true
  records[#records + 1] = { 's', take_seq(), SALE_ID .. '/' .. item[1], SALE_ID, item[1], { stock, 0, 0, stock }, 'LOAD', NOW }
end
if START_NOW == 1 then open_now(sale) end
settle_state(sale)
local at = plan_schedule(sale)
if at then redis.call('ZADD', SCHEDULE, string.format('%.0f', at), SALE_ID) end
commit()
return reply('OK', { 1 })
