-- That an operator stopped a SKU, with the reason in words. Redis stops it; this is what a Redis that was lost is stopped by again
-- when it is built. NULL: not stopped by an operator. What the audit stops is not here: a rebuild mends it, or it is found again.
ALTER TABLE sale_items ADD COLUMN stopped_note text;
