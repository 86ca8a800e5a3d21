-- The audit and the operators look at a sale's orders; the cart's orders have no sale.
CREATE INDEX orders_by_sale ON orders (sale_id) WHERE sale_id IS NOT NULL;
