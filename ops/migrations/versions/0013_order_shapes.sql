-- Tax: added on top of the prices, or contained in them. A constant default rewrites nothing; the
-- check is not valid for the rows that are there, which all have that default.
ALTER TABLE orders
    ADD COLUMN tax numeric(18, 4) NOT NULL DEFAULT 0,
    ADD COLUMN tax_included boolean NOT NULL DEFAULT false;
ALTER TABLE orders ADD CONSTRAINT orders_tax CHECK (tax >= 0) NOT VALID;

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
    nothing_due_id   uuid
);
