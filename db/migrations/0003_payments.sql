-- Payments: one intent a purchase, the provider's events stored before they are settled, one refund a purchase.

CREATE TABLE payments (
  payment_id          text        PRIMARY KEY,
  purchase_id         text        NOT NULL UNIQUE,
  order_id            text        NOT NULL,
  provider            text        NOT NULL DEFAULT 'stripe',
  provider_payment_id text        UNIQUE,
  attempt             integer     NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  client_secret       text,
  amount              bigint      NOT NULL CHECK (amount >= 0),
  currency            text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  status              text        NOT NULL,
  reason              text        NOT NULL DEFAULT '',
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now(),
  last_event_at       timestamptz
);
CREATE INDEX payments_by_order ON payments (order_id);

CREATE TABLE payment_events (
  event_id            text        PRIMARY KEY,
  type                text        NOT NULL,
  provider_payment_id text,
  purchase_id         text,
  payload             jsonb       NOT NULL,
  created_at          timestamptz NOT NULL,
  received_at         timestamptz NOT NULL DEFAULT now(),
  settled_at          timestamptz,
  attempts            integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  outcome             text
);
CREATE INDEX payment_events_unsettled ON payment_events (received_at) WHERE settled_at IS NULL;
CREATE INDEX payment_events_by_payment ON payment_events (provider_payment_id);

CREATE TABLE refunds (
  purchase_id        text        PRIMARY KEY,
  provider_refund_id text        UNIQUE,
  attempt            integer     NOT NULL DEFAULT 1 CHECK (attempt >= 1),
  amount             bigint      NOT NULL CHECK (amount >= 0),
  currency           text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  status             text        NOT NULL,
  reason             text        NOT NULL DEFAULT '',
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now()
);
