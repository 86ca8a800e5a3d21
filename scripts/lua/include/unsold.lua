-- What of a SKU is unsold: here, and where its sale is split into buckets (ADR 20), in all of them. `everywhere` is then 1 + the
-- units unsold in all, at most, else 0. What comes back here counts at once; what is sold, and what the others do, when the
-- balancer tells (bucket-tell).
local function come_back(s, units)
  if s.everywhere > 0 then s.everywhere = s.everywhere + units end
end

-- Units that a purchase may still hope for: who asks for more is SOLD_OUT.
local function unsold_of(s) return math.max(s.loaded - s.sold, s.everywhere - 1) end
