-- The end of a hold: its stock goes back and is offered to the line in the same script.
local function end_hold(sale, s, id, p, status, reason)
  set_status(sale, p, status)
  p[REASON] = reason
  touch(id, p, p[QUANTITY], -p[QUANTITY], 0)
end

-- Ends the due holds of a SKU, oldest first, once a call. Returns how many, at how many purchases it looked, and the lag of the
-- oldest in ms. What has ended otherwise, or lost its bytes, is passed over: the audit tells of the latter.
local function expire_due(sale, s, budget)
  if s.is_swept or first_hold(s) > NOW or s.first_hold == 0 then return 0, 0, 0 end
  local ids, left = take_due(s, budget)
  local ended, lag = 0, 0
  s.is_swept = true
  read_into_book(ids)
  for _, id in ipairs(ids) do
    local p = purchases[id]
    if p and IS_HELD[p[STATUS]] then
      if p[EXPIRES_AT] <= NOW then
        lag = math.max(lag, NOW - p[EXPIRES_AT])
        end_hold(sale, s, id, p, 'EXPIRED', 'HOLD_EXPIRED')
        ended = ended + 1
      else -- it stood among others' ends: its own comes later
        s.ends_add[#s.ends_add + 1], s.ends_add[#s.ends_add + 2] = string.format('%d', p[EXPIRES_AT]), id
      end
    end
  end
  return ended, budget - left, lag
end
