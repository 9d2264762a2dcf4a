-- One order as it is handed to `place.sql`. A batch is one array of these: the driver looks at each
-- element of an array twice, and 29 arrays a batch cost the gateway a third more than one, and the
-- server as many passes to put them together again.
--
-- A later version that hands over more makes a type of its own, so that both can run side by side.

CREATE TYPE placement_row AS (
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
    stock_check      text
);
