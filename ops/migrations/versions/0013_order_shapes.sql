-- Orders of 0.00 that wait for a payment that will never come: paid, as they are placed from here on,
-- with the step in their history and what the outbox tells. First, while only these rows are locked.
WITH free AS (
    UPDATE orders
       SET status = 'paid', version = version + 1, paid_at = placed_at, updated_at = now()
     WHERE status = 'pending_payment' AND payable = 0 AND paid = 0
    RETURNING id, version, order_no, placed_at, hold,
              -- After the placement, before all that followed.
              (left(id::text, 24) || 'ffffffffffff')::uuid AS step_id,
              CASE WHEN is_test THEN 'placed-test:' ELSE 'placed:' END || channel AS source
), history AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, from_status, to_status, outcome, detail, trigger,
        occurred_at, received_at
    )
    SELECT step_id, id, 'nothing-due-' || source, order_no, 'payment_succeeded', 'pending_payment',
           'paid', 'applied', 'nothing is due', 'migration', placed_at, now()
      FROM free
)
INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
SELECT step_id, id, version, CASE WHEN hold IS NULL THEN 'order.paid' ELSE 'order.changed' END,
       CASE WHEN hold IS NULL THEN 1 ELSE 5 END, now()
  FROM free;

-- Tax: added on top of the prices, or contained in them. A constant default rewrites nothing; the
-- check is not valid for the rows that are there, which all have that default.
ALTER TABLE orders
    ADD COLUMN tax numeric(18, 4) NOT NULL DEFAULT 0,
    ADD COLUMN tax_included boolean NOT NULL DEFAULT false,
    -- The sales platform's own word for the state of the order when it was handed over.
    ADD COLUMN platform_state text;
ALTER TABLE orders ADD CONSTRAINT orders_tax CHECK (tax >= 0) NOT VALID;

-- Orders of channels with a timeout, from when they are placed until they are due: what is not paid
-- at all by then is closed. A table of its own, so that no index of all orders has to be built, and
-- orders without a timeout cost nothing.
CREATE TABLE unpaid_orders (
    order_id uuid PRIMARY KEY,
    due_at   timestamptz NOT NULL
);
CREATE INDEX unpaid_orders_due ON unpaid_orders (due_at);

-- One order as it is handed to `place.sql`; gateways of the version before use `placement_row`.
CREATE TYPE placement_row_2 AS (
    id               uuid,
    channel          text,
    order_no         text,
    request_id       text,
    payload_digest   bytea,
    lookalike        bytea,
    same_goods       bytea,
    is_test          boolean,
    currency         text,
    goods            text,
    shop_discount    text,
    platform_subsidy text,
    freight          text,
    payable          text,
    buyer_id         text,
    country          text,
    province         text,
    city             text,
    district         text,
    phone_index      bytea,
    items            text,
    private          bytea,
    raw              bytea,
    placed_at        timestamptz,
    received_at      timestamptz,
    trigger          text,
    hold             text,
    is_judged        boolean,
    stock_check      text,
    tax              text,
    tax_included     boolean,
    -- Of an order of 0.00: the id of its payment's history and outbox row; null of all others.
    nothing_due_id   uuid,
    platform_state   text,
    -- 0: it never times out.
    unpaid_timeout_s integer
);
