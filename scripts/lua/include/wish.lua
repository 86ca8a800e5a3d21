-- Whether an item of a reserve call can be read: anything may stand there, and it must not concern the others.
local SPACES = { ' ', '\n', '\r', '\t', '\v', '\f' }

local function has_space(text)
  for _, space in ipairs(SPACES) do
    if string.find(text, space, 1, true) then return true end
  end
  return false
end

local function is_sound(id, buyer, quantity, print)
  return type(id) == 'string' and type(buyer) == 'string' and type(print) == 'string' and type(quantity) == 'number'
    and id ~= '' and buyer ~= '' and #id <= 100 and #buyer <= 100 and #print <= 100
    and quantity >= 1 and quantity <= 1000000 and quantity % 1 == 0
end

-- By position: whether the item can be read. Spaces are looked for in all of them at once; only where there are any, one by one.
local function are_sound(ids, buyers, quantities, prints)
  local sound, words, n = {}, {}, 0
  for i, id in ipairs(ids) do
    sound[i] = is_sound(id, buyers[i], quantities[i], prints[i])
    if sound[i] then
      words[n + 1], words[n + 2] = id, buyers[i]
      n = n + 2
    end
  end
  if has_space(table.concat(words)) then
    for i, id in ipairs(ids) do sound[i] = sound[i] and not has_space(id) and not has_space(buyers[i]) end
  end
  return sound
end
