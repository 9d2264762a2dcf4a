CREATE INDEX CONCURRENTLY orders_test_placed
    ON orders (placed_at DESC, id DESC) WHERE is_test;
