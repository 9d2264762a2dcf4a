-- What people do to orders. Columns that may be null, or have a constant default, take no time.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
ALTER TABLE orders
    ADD COLUMN held_at timestamptz,
    ADD COLUMN reopened_at timestamptz;
ALTER TABLE parcels ADD COLUMN cancelled_at timestamptz;
-- The money went back another way than through the provider: no total of the provider's has it.
ALTER TABLE refunds ADD COLUMN is_apart boolean NOT NULL DEFAULT false;
-- Of an action: the name of its key, and of that of the second person who approved it.
ALTER TABLE order_events
    ADD COLUMN actor text,
    ADD COLUMN approved_by text;
