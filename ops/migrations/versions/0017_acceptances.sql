-- Who said that it has an order, as JSON: rows of target, reference and accepted_at, the earliest
-- first; and when the first did. Of most orders null. No rewrite: neither has a default.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
ALTER TABLE orders ADD COLUMN accepted_at timestamptz, ADD COLUMN acceptances jsonb;

-- Orders that a target was told are paid and that it has not accepted yet. The relay adds them,
-- acceptances delete them, and what is no longer to be accepted is deleted when it is due. Small,
-- and empty where no target accepts orders.
CREATE TABLE awaiting_acceptance (
    order_id uuid NOT NULL,
    target   text NOT NULL,
    -- The row of the outbox that tells the target so, and when it was staged.
    event_id uuid NOT NULL,
    position bigint NOT NULL,
    version  integer NOT NULL,
    since    timestamptz NOT NULL,
    PRIMARY KEY (order_id, target)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
CREATE INDEX awaiting_acceptance_since ON awaiting_acceptance (target, since);
