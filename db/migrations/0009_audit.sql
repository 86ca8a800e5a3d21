-- The continuous audit: which process does it, what the last check of each SKU found, and every violation ever found.

-- One worker audits, so that its cost is bounded however many there are. A lease, not a lock: one that dies or hangs loses it.
CREATE TABLE audit_leases (
  name    text        PRIMARY KEY,
  holder  text        NOT NULL,
  until   timestamptz NOT NULL
);

-- `checked_at` is the last check that came to an end; `unknown_since` says since when none could (and why: `reason`).
CREATE TABLE audit_checks (
  sale_id       text        NOT NULL,
  sku           text        NOT NULL,
  state         text        NOT NULL CHECK (state IN ('AGREES', 'DIFFERS', 'UNKNOWN')),
  checked_at    timestamptz,
  position      bigint,
  unknown_since timestamptz,
  reason        text        NOT NULL DEFAULT '',
  sums          jsonb,
  PRIMARY KEY (sale_id, sku)
);

-- Kept for ever: rows are few, and each is a question that somebody will ask.
CREATE TABLE audit_findings (
  finding_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sale_id       text        NOT NULL,
  sku           text        NOT NULL,
  code          text        NOT NULL,
  purchase_id   text        NOT NULL DEFAULT '',
  message       text        NOT NULL,
  count         bigint      NOT NULL DEFAULT 1 CHECK (count > 0),
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at  timestamptz NOT NULL DEFAULT now(),
  resolved_at   timestamptz,
  resolution    text        NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX audit_findings_open ON audit_findings (sale_id, sku, code, purchase_id) WHERE resolved_at IS NULL;
CREATE INDEX audit_findings_by_sale ON audit_findings (sale_id, finding_id DESC);
