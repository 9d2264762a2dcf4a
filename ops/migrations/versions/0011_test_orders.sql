-- Keys for tests, and order numbers and request ids of test orders apart from those of live ones.

ALTER TABLE api_keys
    ADD COLUMN is_test boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT api_keys_no_sandbox CHECK (NOT (is_test AND roles && '{operate,admin}'));

-- Whether the event is about a test order.
ALTER TABLE waiting ADD COLUMN is_test boolean NOT NULL DEFAULT false;

-- The indexes are there already when `tidegate migrate` could build them beside the running
-- gateways (online/); an empty database has them built here. The lock comes first: raised later,
-- it could deadlock with a gateway.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
CREATE UNIQUE INDEX IF NOT EXISTS orders_order_no
    ON orders (channel, order_no, is_test);
CREATE UNIQUE INDEX IF NOT EXISTS orders_request
    ON orders (channel, request_id, is_test) WHERE request_id IS NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_channel_order_no_key;
DROP INDEX orders_request_id;
-- Test orders are few: a list of them must not read all the others.
CREATE INDEX IF NOT EXISTS orders_test_placed
    ON orders (placed_at DESC, id DESC) WHERE is_test;
