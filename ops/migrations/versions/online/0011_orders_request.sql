CREATE UNIQUE INDEX CONCURRENTLY orders_request
    ON orders (channel, request_id, is_test) WHERE request_id IS NOT NULL;
