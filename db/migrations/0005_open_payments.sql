-- Payments that can still be made, the longest untouched first: the workers look for those whose orders have ended.
CREATE INDEX payments_open ON payments (updated_at) WHERE status IN ('requires_payment_method', 'processing', 'failed');
