-- Money that a merchant can follow: what was decided about each payment and why, what the provider was last asked, and
-- what is still to be given back. Together with the payments this finds all work of money after Redis has lost its jobs.

-- Append only. One row a decision about one object of the provider, so that a repetition writes nothing.
CREATE TABLE payment_decisions (
  decision_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at          timestamptz NOT NULL DEFAULT now(),
  decision    text        NOT NULL CHECK (decision <> ''),
  purchase_id text        NOT NULL,
  order_id    text        NOT NULL,
  sale_id     text,
  payment_id  text        NOT NULL,
  -- The intent, refund or dispute at the provider; '' where there is none.
  provider_id text        NOT NULL DEFAULT '',
  amount      bigint      NOT NULL CHECK (amount >= 0),
  currency    text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  why         text        NOT NULL,
  source      text        NOT NULL CHECK (source <> '')
);
CREATE UNIQUE INDEX payment_decisions_once ON payment_decisions (purchase_id, decision, provider_id);
CREATE INDEX payment_decisions_by_sale ON payment_decisions (sale_id, decision_id) WHERE sale_id IS NOT NULL;

CREATE FUNCTION refuse_decision_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'decisions about payments are append only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER payment_decisions_append_only BEFORE UPDATE OR DELETE ON payment_decisions
  FOR EACH ROW EXECUTE FUNCTION refuse_decision_change();

-- `finished_at`: what was paid is sold, or was given back, in Postgres too. `reconciled_at`: when the provider was last asked.
ALTER TABLE payments ADD COLUMN finished_at timestamptz, ADD COLUMN reconciled_at timestamptz;
CREATE INDEX payments_unfinished ON payments (purchase_id) WHERE status = 'succeeded' AND finished_at IS NULL;
CREATE INDEX payments_unreconciled ON payments (coalesce(reconciled_at, created_at))
  WHERE status IN ('starting', 'requires_payment_method', 'processing', 'failed');
CREATE INDEX refunds_unfinished ON refunds (updated_at) WHERE status IN ('pending', 'requires_action');
CREATE INDEX refunds_of_dashboard ON refunds (purchase_id) WHERE reason = 'DASHBOARD';
-- Holds that are still to end. No index holds a purchase's status: its changes stay heap-only updates.
CREATE INDEX purchases_by_hold_end ON purchases (expires_at) WHERE expires_at IS NOT NULL;

-- Purchases whose money is to be given back, written in the very transaction in which Postgres learns of it, whoever
-- writes it; taken off when the provider has the refund.
CREATE TABLE returns_due (
  purchase_id text        PRIMARY KEY,
  at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX returns_due_by_age ON returns_due (at);

CREATE FUNCTION note_return_of_units() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO returns_due (purchase_id) VALUES (NEW.purchase_id) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
-- Sold units that became available again: an order that was taken back.
CREATE TRIGGER ledger_notes_returns AFTER INSERT ON ledger
  FOR EACH ROW WHEN (NEW.d_sold < 0 AND NEW.d_loaded = 0) EXECUTE FUNCTION note_return_of_units();

CREATE FUNCTION note_return_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO returns_due (purchase_id)
  SELECT NEW.purchase_id WHERE NEW.purchase_id IS NOT NULL
  UNION SELECT purchase_id FROM purchases WHERE order_ref = NEW.order_id AND order_ref <> '' AND NEW.purchase_id IS NULL
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
-- Money back without units: what was shipped or delivered, or what Redis has forgotten.
CREATE TRIGGER orders_note_returns AFTER UPDATE ON orders
  FOR EACH ROW WHEN (NEW.status = 'REFUNDED' AND OLD.status <> 'REFUNDED') EXECUTE FUNCTION note_return_of_order();

-- How far lists of the provider's objects have been read: from `since` to `until`, newest first, down to `after_id`.
CREATE TABLE provider_cursors (
  name        text        PRIMARY KEY,
  since       timestamptz NOT NULL,
  until       timestamptz,
  after_id    text,
  leased_until timestamptz
);
