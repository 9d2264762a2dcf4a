-- The ledger. Portable to PostgreSQL 15.
--
-- There are no foreign keys between these tables: every row that refers to an order is written
-- by the statement that holds or has just made that order, and a key check per row would cost
-- a lookup and a row lock on the hot path. Nothing that must be unique is partitioned by time.

CREATE TABLE orders (
    id               uuid PRIMARY KEY,
    channel          text NOT NULL,
    order_no         text NOT NULL,
    request_id       text,
    payload_digest   bytea NOT NULL,
    lookalike        bytea NOT NULL,
    -- The hold that the order was placed with: part of the original result, told to repeats.
    placed_hold      text,
    status           text NOT NULL DEFAULT 'pending_payment'
        CHECK (status IN ('pending_payment', 'paid', 'shipped', 'completed', 'refunded', 'closed')),
    version          integer NOT NULL DEFAULT 1,
    hold             text,
    is_test          boolean NOT NULL DEFAULT false,
    currency         text NOT NULL,
    goods            numeric(18, 4) NOT NULL CHECK (goods >= 0),
    shop_discount    numeric(18, 4) NOT NULL CHECK (shop_discount >= 0),
    platform_subsidy numeric(18, 4) NOT NULL CHECK (platform_subsidy >= 0),
    freight          numeric(18, 4) NOT NULL CHECK (freight >= 0),
    payable          numeric(18, 4) NOT NULL CHECK (payable >= 0),
    paid             numeric(18, 4) NOT NULL DEFAULT 0 CHECK (paid >= 0),
    refunded         numeric(18, 4) NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= paid),
    buyer_id         text NOT NULL,
    country          text NOT NULL,
    province         text NOT NULL,
    city             text NOT NULL,
    district         text NOT NULL,
    phone_index      bytea NOT NULL,
    items            jsonb NOT NULL,
    -- Name, phone, street, postcode, id number, remark and attributes, sealed together.
    private          bytea NOT NULL,
    carrier          text,
    tracking_no      text,
    placed_at        timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    paid_at          timestamptz,
    shipped_at       timestamptz,
    completed_at     timestamptz,
    closed_at        timestamptz,
    UNIQUE (channel, order_no)
);
CREATE UNIQUE INDEX orders_request_id ON orders (channel, request_id) WHERE request_id IS NOT NULL;
-- The real queries: by time, by status and time, by channel and time, by phone. Newest first,
-- keyset.
CREATE INDEX orders_placed ON orders (placed_at DESC, id DESC);
CREATE INDEX orders_status_placed ON orders (status, placed_at DESC, id DESC);
CREATE INDEX orders_channel_placed ON orders (channel, placed_at DESC, id DESC);
CREATE INDEX orders_phone ON orders (phone_index);

-- History, append-only, and the arbiter of once: one row per (source, source_key) for good.
CREATE TABLE order_events (
    id          uuid NOT NULL,
    order_id    uuid,
    source      text NOT NULL,
    source_key  text NOT NULL,
    action      text NOT NULL,
    from_status text,
    to_status   text,
    outcome     text NOT NULL,
    reason      text,
    detail      text,
    trigger     text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source, source_key)
);
CREATE INDEX order_events_order ON order_events (order_id, id);

CREATE TABLE payments (
    id             uuid PRIMARY KEY,
    provider       text NOT NULL,
    source         text NOT NULL,
    transaction_id text NOT NULL,
    order_id       uuid,
    order_no       text NOT NULL,
    currency       text NOT NULL,
    amount         numeric(18, 4) NOT NULL CHECK (amount >= 0),
    refunded       numeric(18, 4) NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= amount),
    standing       text NOT NULL
        CHECK (standing IN ('waiting', 'applied', 'mismatch', 'after_close', 'duplicate')),
    paid_at        timestamptz NOT NULL,
    UNIQUE (provider, transaction_id)
);
CREATE INDEX payments_order ON payments (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX payments_waiting ON payments (order_no) WHERE order_id IS NULL;

-- Events that came before what they are about. Small: rows leave when their order comes.
CREATE TABLE waiting (
    id             uuid PRIMARY KEY,
    provider       text NOT NULL,
    source         text NOT NULL,
    transaction_id text NOT NULL,
    channels       text[] NOT NULL,
    order_no       text NOT NULL,
    event          jsonb NOT NULL,
    trigger        text NOT NULL,
    received_at    timestamptz NOT NULL,
    tried_at       timestamptz,
    shown_at       timestamptz
);
CREATE INDEX waiting_order ON waiting (order_no);
CREATE INDEX waiting_transaction ON waiting (provider, transaction_id);

-- Look-alike orders of ten minutes; expired rows are taken over in place and purged by a worker.
CREATE TABLE fingerprints (
    lookalike  bytea PRIMARY KEY,
    order_id   uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

-- The last times that one buyer ordered the same goods; purged by a worker.
CREATE TABLE velocity (
    same_goods bytea PRIMARY KEY,
    recent     timestamptz[] NOT NULL
);

-- Every accepted message as it arrived, sealed. A month a partition, dropped by retention.
CREATE TABLE raw_messages (
    id          uuid NOT NULL,
    source      text NOT NULL,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX raw_messages_id ON raw_messages (id);
-- Catches what no month was made for: a missing partition must never refuse a payment.
CREATE TABLE raw_messages_other PARTITION OF raw_messages DEFAULT;

-- What other systems must hear, staged with the change that caused it. Low number first.
CREATE TABLE outbox (
    id         uuid NOT NULL,
    order_id   uuid NOT NULL,
    version    integer NOT NULL,
    topic      text NOT NULL,
    priority   smallint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (priority, id)
);

-- What a person must look at. `body` is sealed, and only there when nothing else keeps it.
CREATE TABLE parked (
    id          uuid PRIMARY KEY,
    source      text NOT NULL,
    source_key  text NOT NULL,
    order_id    uuid,
    reason      text NOT NULL,
    detail      text,
    body        bytea,
    received_at timestamptz NOT NULL,
    resolved_at timestamptz
);
CREATE INDEX parked_open ON parked (reason, received_at) WHERE resolved_at IS NULL;

CREATE TABLE api_keys (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    digest     bytea NOT NULL UNIQUE,
    roles      text[] NOT NULL,
    -- Empty: every channel.
    channels   text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- Who changed what. Each row carries the hash of the one before: a gap or an edit shows.
CREATE TABLE audit_log (
    id       bigint PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL,
    detail   text NOT NULL,
    previous bytea NOT NULL,
    hash     bytea NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
