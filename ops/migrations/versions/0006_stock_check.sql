-- Whether the stock was asked when the order came: null where it never is, or a shop told of it.
-- Nullable and without default, so that adding it rewrites nothing; not valid for what is there.
ALTER TABLE orders ADD COLUMN stock_check text;
ALTER TABLE orders ADD CONSTRAINT orders_stock_check
    CHECK (stock_check IN ('checked', 'unchecked')) NOT VALID;
