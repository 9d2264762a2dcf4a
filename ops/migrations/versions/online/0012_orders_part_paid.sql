CREATE INDEX CONCURRENTLY orders_part_paid
    ON orders (placed_at DESC, id DESC) WHERE status = 'pending_payment' AND paid > 0;
