#!lua flags=allow-oom
-- sale-state: an operator opens, pauses or closes a sale. PAUSED and CLOSED stop reserve and admit only. A closed sale's
-- line ends (CANCELLED, SALE_CLOSED) in slices: this call does the first, the sweep the rest.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, 'open' | 'pause' | 'close' }
-- BODY   { 'OK' | 'REPLAY' | 'ILLEGAL' | 'SALE_NOT_FOUND', status or '' }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include state
local SALE_ID, VERB = INPUT[1], INPUT[2]
local sale = open_sale(SALE_ID)
if not sale then return reply('OK', { 'SALE_NOT_FOUND', '' }) end
settle_state(sale)

local TARGET = { open = 'OPEN', pause = 'PAUSED', close = 'CLOSED' }
local FROM = {
  open = { SCHEDULED = true, PAUSED = true },
  pause = { OPEN = true },
  close = { SCHEDULED = true, OPEN = true, PAUSED = true },
}

local function move()
  if sale.status == TARGET[VERB] then return 'REPLAY' end
  if not FROM[VERB] or not FROM[VERB][sale.status] then return 'ILLEGAL' end
  if VERB == 'open' then
    open_now(sale)
  elseif VERB == 'close' then
    close_now(sale)
    end_line(sale, 256)
  else
    set_sale_status(sale, 'PAUSED')
  end
  return 'OK'
end

local outcome = move()
plans[SALE_ID] = plan_schedule(sale) or false
commit()
return reply('OK', { outcome, sale.status })
