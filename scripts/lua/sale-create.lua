#!lua
-- sale-create: installs a sale with its SKUs and loads their stock. Once per sale id: a repeat changes nothing.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, { opensAt, closesAt, holdMs, perBuyerLimit, lineLimit or -1, admissionPerSecond, startBacklogLimit },
--          startNow 0/1, { { sku, stock, unitPrice, currency, everywhere or nil } … } }   absent times and limits are 0
-- BODY   { created 0/1 }          a sale that makes no sense is an error reply; it comes from a bug, not from a request
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include state
local SALE_ID, TERMS, START_NOW, ITEMS = INPUT[1], INPUT[2], INPUT[3], INPUT[4]
local TERM_NAMES = { 'opensAt', 'closesAt', 'holdMs', 'perBuyerLimit', 'lineLimit', 'admissionPerSecond', 'startBacklogLimit' }

local function is_word(text) return type(text) == 'string' and string.find(text, '^%S+$') ~= nil end
local function is_count(value) return type(value) == 'number' and value >= 0 and value % 1 == 0 and value <= 9007199254740991 end

local function what_is_wrong()
  if not is_word(SALE_ID) then return 'the sale has no id' end
  for i, name in ipairs(TERM_NAMES) do
    local value, least = TERMS[i], name == 'lineLimit' and -1 or 0
    if type(value) ~= 'number' or not (value >= least) or value == math.huge then return name .. ' of the sale is not a number' end
  end
  if TERMS[3] < 1 then return 'a hold must last' end
  local seen = {}
  for _, item in ipairs(ITEMS) do
    if type(item) ~= 'table' or not is_word(item[1]) or not is_count(item[2]) or not is_count(item[3]) or not is_word(item[4]) then
      return 'an item of the sale is not { sku, stock, unitPrice, currency }'
    end
    if seen[item[1]] then return item[1] .. ' is in the sale twice' end
    seen[item[1]] = true
  end
  return nil
end

if open_sale(SALE_ID) then return reply('OK', { 0 }) end
local wrong = what_is_wrong()
if wrong then return redis.error_reply('ERR ' .. wrong) end

local sale = { id = SALE_ID, skus = {}, as_read = {}, read_from = 0 }
for _, name in ipairs(SALE_NUMBERS) do sale[name] = 0 end
for i, name in ipairs(TERM_NAMES) do sale[name] = TERMS[i] end
sales[SALE_ID] = sale
for _, item in ipairs(ITEMS) do
  local sku, stock = item[1], item[2]
  local s = new_sku(SALE_ID, sku, item[4], '')
  s.loaded, s.available, s.unitPrice, s.everywhere, s.is_new = stock, stock, item[3], item[5] or 0, true
  enter_sku(s)
  sale.skus[#sale.skus + 1] = sku
end
set_sale_status(sale, 'SCHEDULED')
for _, s in ipairs(sku_order) do
  local movement = { s.loaded, 0, 0, s.loaded }
  records[#records + 1] = { 's', take_seq(), SALE_ID .. '/' .. s.sku, SALE_ID, s.sku, movement, 'LOAD', NOW }
end
if START_NOW == 1 then open_now(sale) end
settle_state(sale)
plans[SALE_ID] = plan_schedule(sale) or nil
commit()
return reply('OK', { 1 })
