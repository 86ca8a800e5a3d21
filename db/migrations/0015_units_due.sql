-- Paid orders that were taken back, whose units Redis has still to give back. Written in the statement that takes the order back,
-- so that whoever dies after it leaves a trace that costs nothing to find: an index over the purchases' status would cost each of
-- their changes its place in the page.
CREATE TABLE units_due (
  purchase_id text        PRIMARY KEY,
  at          timestamptz NOT NULL DEFAULT now()
);
INSERT INTO units_due (purchase_id) SELECT purchase_id FROM purchases WHERE status = 'CONFIRMED' AND order_status = 'CANCELLED';
