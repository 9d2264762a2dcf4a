-- A transaction number is unique within the account that reported it. It was within the provider:
-- an account could take another one's number, and the true payment was parked.
--
-- The index is there already when `tidegate migrate` could build it beside the running gateways
-- (online/); an empty database has it built here.
CREATE UNIQUE INDEX IF NOT EXISTS payments_transaction
    ON payments (provider, transaction_id, source);
ALTER TABLE payments DROP CONSTRAINT payments_provider_transaction_id_key;

-- 'repeat': another account, paid for the same channel, had reported the transaction already. NOT
-- VALID takes no time, and the rows that are there satisfied a narrower check.
ALTER TABLE payments
    DROP CONSTRAINT payments_standing_check,
    ADD CONSTRAINT payments_standing_check CHECK (
        standing IN ('waiting', 'applied', 'mismatch', 'after_close', 'duplicate', 'repeat')
    ) NOT VALID;
