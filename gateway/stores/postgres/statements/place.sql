-- Place a batch of orders: all their rows or none, one statement, one round trip.
--
-- Promises: the number of an order is returned exactly if this statement stored it. A row that met its like
-- (same channel and order number, same request id, a live fingerprint) is not returned and
-- leaves no order behind; the caller looks at it again with `find_known`.
-- A row with is_judged = true was looked at: it is stored even beside a live fingerprint.
--
-- Rows must arrive sorted by fingerprint and without a key twice, or batches could deadlock;
-- for the same reason the orders go in by number.
-- The clock of the windows is the database's own, so that no gateway's clock can stretch them.
WITH input AS MATERIALIZED (
    SELECT *
      FROM unnest(
               $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[],
               $7::bytea[], $8::bool[], $9::text[], $10::text[], $11::text[], $12::text[],
               $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
               $19::text[], $20::bytea[], $21::text[], $22::bytea[], $23::bytea[],
               $24::timestamptz[], $25::timestamptz[], $26::text[], $27::text[], $28::bool[]
           ) WITH ORDINALITY AS t (
               id, channel, order_no, request_id, payload_digest, lookalike,
               same_goods, is_test, currency, goods, shop_discount, platform_subsidy,
               freight, payable, buyer_id, country, province, city,
               district, phone_index, items, private, raw,
               placed_at, received_at, trigger, hold, is_judged, n
           )
), claimed AS (
    INSERT INTO fingerprints AS f (lookalike, order_id, expires_at)
    SELECT lookalike, id, now() + interval '10 minutes' FROM input
        ON CONFLICT (lookalike) DO UPDATE
       SET order_id = excluded.order_id, expires_at = excluded.expires_at
     WHERE f.expires_at <= now()
    RETURNING f.order_id
), entitled AS (
    SELECT i.*
      FROM input i
     WHERE i.is_judged OR i.id IN (SELECT order_id FROM claimed)
), counted AS (
    -- The last four times of one buyer with the same goods; a full window holds the fourth.
    INSERT INTO velocity AS v (same_goods, recent)
    SELECT same_goods, ARRAY[now()] FROM entitled ORDER BY same_goods
        ON CONFLICT (same_goods) DO UPDATE
       SET recent = (v.recent || now())[greatest(1, cardinality(v.recent) - 2):]
    RETURNING same_goods,
              cardinality(recent) = 4 AND recent[1] > now() - interval '5 minutes' AS is_brushing
), placed AS (
    INSERT INTO orders (
        id, channel, order_no, request_id, payload_digest, lookalike, placed_hold, hold, is_test,
        currency, goods, shop_discount, platform_subsidy, freight, payable, buyer_id, country,
        province, city, district, phone_index, items, private, placed_at, received_at, updated_at
    )
    SELECT i.id, i.channel, i.order_no, i.request_id, i.payload_digest, i.lookalike,
           h.hold, h.hold, i.is_test, i.currency, i.goods::numeric, i.shop_discount::numeric,
           i.platform_subsidy::numeric, i.freight::numeric, i.payable::numeric, i.buyer_id,
           i.country, i.province, i.city, i.district, i.phone_index, i.items::jsonb, i.private,
           i.placed_at, i.received_at, i.received_at
      FROM entitled i
      JOIN counted c ON c.same_goods = i.same_goods
           CROSS JOIN LATERAL (
               SELECT coalesce(i.hold, CASE WHEN c.is_brushing THEN 'suspected_brushing' END) AS hold
           ) h
     ORDER BY i.channel, i.order_no
        ON CONFLICT DO NOTHING
    RETURNING id, hold
), history AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, to_status, outcome, trigger, occurred_at,
        received_at
    )
    SELECT i.id, i.id, 'placed:' || i.channel, i.order_no, 'placed', 'pending_payment', 'applied',
           i.trigger, i.placed_at, i.received_at
      FROM input i JOIN placed p ON p.id = i.id
), kept AS (
    INSERT INTO raw_messages (id, source, body, received_at)
    SELECT i.id, 'placed:' || i.channel, i.raw, i.received_at
      FROM input i JOIN placed p ON p.id = i.id
), staged AS (
    INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
    SELECT i.id, i.id, 1, 'order.placed', 5, i.received_at
      FROM input i JOIN placed p ON p.id = i.id
)
SELECT i.n,
       p.hold,
       EXISTS (
           SELECT FROM waiting w WHERE w.order_no = i.order_no AND i.channel = ANY (w.channels)
       ) AS has_waiting
  FROM placed p JOIN input i ON i.id = p.id
