CREATE INDEX CONCURRENTLY orders_paid
    ON orders (paid_at DESC, id DESC) WHERE paid_at IS NOT NULL;
