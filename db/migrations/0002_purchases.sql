-- Purchases, orders and the ledger: written by the outbox's jobs in batches, and in any order (a newer version may come
-- first), therefore without foreign keys to sales or to each other, except order_items, which is written after its order.

-- fillfactor leaves room for heap-only updates: a purchase changes its status three times, and no index holds the status.
CREATE TABLE purchases (
  purchase_id   text        PRIMARY KEY,
  version       bigint      NOT NULL CHECK (version > 0),
  status        text        NOT NULL CHECK (status IN
    ('WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED', 'EXPIRED', 'CANCELLED', 'SOLD_OUT', 'REFUNDED')),
  buyer_id      text        NOT NULL,
  sale_id       text        NOT NULL,
  sku           text        NOT NULL,
  quantity      integer     NOT NULL CHECK (quantity > 0),
  ticket        bigint      NOT NULL CHECK (ticket >= 0),
  expires_at    timestamptz,
  unit_price    bigint      NOT NULL CHECK (unit_price >= 0),
  currency      text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  reason        text        NOT NULL DEFAULT '',
  order_ref     text        NOT NULL DEFAULT '',
  fingerprint   text        NOT NULL DEFAULT '',
  is_refund_due boolean     NOT NULL DEFAULT false,
  had_hold      boolean     NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX purchases_by_ticket ON purchases (sale_id, sku, ticket);
CREATE INDEX purchases_by_order_ref ON purchases (order_ref) WHERE order_ref <> '';

-- `purchase_id` is null for a cart's order, which has several holds (purchases.order_ref names it).
CREATE TABLE orders (
  order_id     text        PRIMARY KEY,
  purchase_id  text        UNIQUE,
  user_id      text        NOT NULL,
  sale_id      text,
  status       text        NOT NULL CHECK (status IN
    ('CREATED', 'CONFIRMED', 'PACKED', 'SHIPPED', 'DELIVERED', 'CANCELLED', 'EXPIRED', 'FAILED', 'REFUNDED')),
  version      bigint      NOT NULL CHECK (version > 0),
  total_amount bigint      NOT NULL CHECK (total_amount >= 0),
  currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX orders_by_user ON orders (user_id, created_at DESC, order_id DESC);

CREATE TABLE order_items (
  order_id   text    NOT NULL REFERENCES orders (order_id) ON DELETE CASCADE,
  line_no    integer NOT NULL,
  sku        text    NOT NULL,
  quantity   integer NOT NULL CHECK (quantity > 0),
  unit_price bigint  NOT NULL CHECK (unit_price >= 0),
  PRIMARY KEY (order_id, line_no)
);

-- Every stock movement once, append only; with it and the purchases Redis can be rebuilt. A movement that is not a
-- purchase's (load, adjust) has its own id as purchase_id and version 1.
CREATE TABLE ledger (
  purchase_id text        NOT NULL,
  version     bigint      NOT NULL CHECK (version > 0),
  partition   integer     NOT NULL CHECK (partition >= 0),
  seq         bigint      NOT NULL CHECK (seq >= 0),
  sale_id     text        NOT NULL,
  sku         text        NOT NULL,
  d_available bigint      NOT NULL,
  d_held      bigint      NOT NULL,
  d_sold      bigint      NOT NULL,
  d_loaded    bigint      NOT NULL,
  reason      text        NOT NULL DEFAULT '',
  at          timestamptz NOT NULL,
  PRIMARY KEY (purchase_id, version),
  CHECK (d_available + d_held + d_sold = d_loaded)
);
CREATE INDEX ledger_by_sku ON ledger (sale_id, sku);

CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger
  FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change();
