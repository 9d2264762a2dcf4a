CREATE UNIQUE INDEX CONCURRENTLY payments_transaction
    ON payments (provider, transaction_id, source);
