CREATE INDEX CONCURRENTLY orders_held
    ON orders (hold, placed_at DESC, id DESC) WHERE hold IS NOT NULL;
