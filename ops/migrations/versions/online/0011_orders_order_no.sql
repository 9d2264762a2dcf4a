CREATE UNIQUE INDEX CONCURRENTLY orders_order_no
    ON orders (channel, order_no, is_test);
