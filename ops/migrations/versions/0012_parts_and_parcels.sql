-- Orders paid in parts and shipped in parts; refunds and disputes told one by one.

-- The lock comes first: raised later, it could deadlock with a gateway. The indexes are there
-- already when `tidegate migrate` could build them beside the running gateways (online/); an empty
-- database has them built here.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
CREATE INDEX IF NOT EXISTS orders_held
    ON orders (hold, placed_at DESC, id DESC) WHERE hold IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_part_paid
    ON orders (placed_at DESC, id DESC) WHERE status = 'pending_payment' AND paid > 0;

-- The hold of money that came after the close is that of any closed order with money to go back.
UPDATE orders SET hold = 'refund_owed' WHERE hold = 'paid_after_close';

-- Other numbers that a provider has for a payment.
CREATE TABLE payment_names (
    provider   text NOT NULL,
    name       text NOT NULL,
    payment_id uuid NOT NULL,
    PRIMARY KEY (provider, name, payment_id)
);
CREATE INDEX payment_names_payment ON payment_names (payment_id);

-- What was told of the refunds of a payment; `payments.refunded` is what it comes to. A payment
-- without rows was refunded when only the sum was kept. An amount that is a total is what had been
-- refunded by then; of a failed refund it is what comes off that total.
CREATE TABLE refunds (
    id          uuid PRIMARY KEY,
    payment_id  uuid NOT NULL,
    refund_no   text NOT NULL,
    amount      numeric(18, 4) NOT NULL CHECK (amount >= 0),
    is_total    boolean NOT NULL,
    is_failed   boolean NOT NULL,
    occurred_at timestamptz NOT NULL
);
CREATE INDEX refunds_payment ON refunds (payment_id);

CREATE TABLE disputes (
    id         uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    dispute_no text NOT NULL,
    amount     numeric(18, 4) NOT NULL CHECK (amount >= 0),
    state      text NOT NULL CHECK (state IN ('opened', 'won', 'lost')),
    reason     text NOT NULL,
    opened_at  timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    due_at     timestamptz,
    UNIQUE (payment_id, dispute_no)
);

-- An order whose carrier and tracking number have no row here was shipped when it had one parcel.
CREATE TABLE parcels (
    id           uuid PRIMARY KEY,
    order_id     uuid NOT NULL,
    carrier      text NOT NULL,
    tracking_no  text NOT NULL,
    parcel_no    text NOT NULL,
    lines        jsonb NOT NULL,
    shipped_at   timestamptz NOT NULL,
    delivered_at timestamptz
);
CREATE INDEX parcels_order ON parcels (order_id);
CREATE INDEX parcels_tracking_no ON parcels (tracking_no) WHERE tracking_no <> '';

-- Columns with constant defaults and constraints that are not validated take no time. What is
-- there satisfied a narrower check.
ALTER TABLE payments ADD COLUMN is_provisional boolean NOT NULL DEFAULT false;
ALTER TABLE orders
    ADD COLUMN released_at timestamptz,
    ADD COLUMN closed_cause text,
    ADD COLUMN pays_on_delivery boolean NOT NULL DEFAULT false,
    ADD COLUMN is_delivered boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT orders_status_check,
    ADD CONSTRAINT orders_status_check CHECK (
        status IN (
            'pending_payment', 'paid', 'shipped', 'completed', 'cancelling', 'refunded', 'closed'
        )
    ) NOT VALID;
