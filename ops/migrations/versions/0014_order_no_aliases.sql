-- Order numbers that are other numbers of a stored order: a look-alike under a number of its own
-- that was answered with the first order. Payments, shipments and reads by either number find it.
--
-- `payload_digest` and `request_id` are those of the submission that was answered so: a repeat of
-- it is told from one that contradicts it. The same number is in the history, under the source of
-- placed orders: no order and no other alias can take it.

CREATE TABLE order_no_aliases (
    order_no       text NOT NULL,
    channel        text NOT NULL,
    is_test        boolean NOT NULL,
    order_id       uuid NOT NULL,
    payload_digest bytea NOT NULL,
    request_id     text,
    received_at    timestamptz NOT NULL,
    -- The number first: events name it without a channel.
    PRIMARY KEY (order_no, channel, is_test)
);
CREATE UNIQUE INDEX order_no_aliases_request
    ON order_no_aliases (channel, request_id, is_test) WHERE request_id IS NOT NULL;
CREATE INDEX order_no_aliases_order ON order_no_aliases (order_id);
