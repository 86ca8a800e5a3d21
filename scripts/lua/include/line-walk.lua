-- Who waits for a SKU: its list of tickets from `head` on. Who does not wait any more stays in the list and is passed over when
-- the head comes there, once. What the walk is for: line.lua, state.lua.
local PAGE = 64
local dropped = {} -- ids without bytes that this call has passed

-- `is_behind`: the head is to be moved to the first who still waits.
local function leave_line(s, id, p)
  if p[QUANTITY] > 1 then s.big_rem[#s.big_rem + 1] = id end
  s.waiters, s.waiting = s.waiters - 1, s.waiting - p[QUANTITY]
  if p[TICKET] == s.head then s.is_behind = true end
end

-- Ends a waiting purchase: SOLD_OUT for certain, or CANCELLED.
local function end_waiting(sale, s, id, p, status, reason)
  leave_line(s, id, p)
  set_status(sale, p, status)
  p[REASON] = reason
  touch(id, p, 0, 0, 0)
end

-- A place whose bytes were lost can never be served and must not block. Whether it waited is known of large ones only; another
-- stays in the counts until the end of the line is reached, where nobody waits for certain.
local function drop_stranger(s, id)
  local score = not dropped[id] and read_of_sku(s, 'ZSCORE', 'big', id)
  local units = type(score) == 'string' and tonumber(score)
  dropped[id] = true
  if not units then return end
  s.big_rem[#s.big_rem + 1], s.is_changed = id, true
  s.waiters, s.waiting = s.waiters - 1, s.waiting - units
end

-- Somebody changed the list: from one whose places are not the tickets nobody is served.
local function find_fault(s) s.fault, s.blocked = 'its tickets are not in their places', 'FAULT' end

-- Walks who waits, from the head on, until `visit` says stop or the budget is used: whoever it says yes to has left the line.
-- Returns what is left of the budget. The head is then the first who still waits, or, without a budget, where to go on.
local function walk_line(s, budget, size, visit)
  local last = s.tickets_before -- who came in this very call is not in the list yet
  while s.waiters > 0 and s.head <= last do
    if budget <= 0 then return 0 end
    local ids = ids_of(read_of_sku(s, 'LRANGE', 'tickets', s.head - 1, math.min(s.head + size - 2, last - 1)))
    read_into_book(ids)
    if #ids == 0 then find_fault(s) end
    for _, id in ipairs(ids) do
      if budget <= 0 then return 0 end
      local p = purchases[id]
      if p and p[TICKET] ~= s.head then find_fault(s) end
      if s.fault then return budget end
      if p and p[STATUS] == 'WAITING' then
        if not visit(id, p) then
          s.is_behind = false
          return budget
        end
      elseif not p then
        drop_stranger(s, id)
      end
      s.head, s.is_changed, budget = s.head + 1, true, budget - 1
    end
    if s.fault then return budget end
    size = PAGE
  end
  -- The end of the list: nobody waits, whatever was counted.
  if s.waiters ~= 0 and last == s.lastTicket then s.waiters, s.waiting, s.is_changed = 0, 0, true end
  s.is_behind = false
  return budget
end
