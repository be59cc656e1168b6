-- Since when the keys of a request have been parked, milliseconds since 1970; null: they are not.
ALTER TABLE key_orders ADD COLUMN parked_at_ms BIGINT;
CREATE INDEX key_orders_parked ON key_orders (parked_at_ms) WHERE parked_at_ms IS NOT NULL;
