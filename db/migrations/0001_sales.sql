-- Sales, what they sell, and the fence of each partition.
-- Times are timestamptz, prices integer minor units, ids the text ids of the API.

-- One row a partition. `epoch` is raised by a rebuild, `seq` is the highest outbox position known to be applied:
-- a Redis that is behind it is an old copy and is fenced. Writers of purchases lock the row FOR KEY SHARE, so that a
-- rebuild, which takes it FOR UPDATE, waits for them and they for it, while `seq` (no key column) stays updatable.
CREATE TABLE partitions (
  partition integer PRIMARY KEY CHECK (partition >= 0),
  epoch     bigint  NOT NULL DEFAULT 1 CHECK (epoch >= 1),
  seq       bigint  NOT NULL DEFAULT 0 CHECK (seq >= 0)
);

CREATE TABLE skus (
  sku        text        PRIMARY KEY CHECK (char_length(sku) BETWEEN 1 AND 200),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- `status` and `version` follow Redis through the outbox; `installed` says that Redis knows the sale.
CREATE TABLE sales (
  sale_id              text        PRIMARY KEY,
  name                 text        NOT NULL,
  status               text        NOT NULL DEFAULT 'SCHEDULED' CHECK (status IN ('SCHEDULED', 'OPEN', 'PAUSED', 'CLOSED')),
  version              bigint      NOT NULL DEFAULT 0 CHECK (version >= 0),
  opens_at             timestamptz,
  closes_at            timestamptz,
  hold_seconds         integer     NOT NULL CHECK (hold_seconds > 0),
  per_buyer_limit      integer     NOT NULL CHECK (per_buyer_limit > 0),
  line_limit           integer     CHECK (line_limit >= 0),
  admission_per_second double precision CHECK (admission_per_second > 0),
  payment_start        text        NOT NULL CHECK (payment_start IN ('eager', 'on_demand')),
  installed            boolean     NOT NULL DEFAULT false,
  created_by           text        NOT NULL,
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sales_by_age ON sales (created_at DESC, sale_id DESC);
CREATE INDEX sales_not_installed ON sales (created_at) WHERE NOT installed;

-- `stock` is the first allocation, `loaded` what the ledger has loaded since (0 until the first load is applied).
CREATE TABLE sale_items (
  sale_id    text    NOT NULL REFERENCES sales (sale_id) ON DELETE CASCADE,
  sku        text    NOT NULL REFERENCES skus (sku),
  line_no    integer NOT NULL,
  stock      bigint  NOT NULL CHECK (stock >= 0),
  loaded     bigint  NOT NULL DEFAULT 0,
  unit_price bigint  NOT NULL CHECK (unit_price >= 0),
  currency   text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  is_live    boolean NOT NULL DEFAULT true,
  PRIMARY KEY (sale_id, sku)
);
-- A SKU is in at most one sale that is not CLOSED.
CREATE UNIQUE INDEX sale_items_live_sku ON sale_items (sku) WHERE is_live;
CREATE INDEX sale_items_by_sku ON sale_items (sku);
