-- The stored orders that each submission matches: by its request id, by its (channel, order_no),
-- or by its look-alike fingerprint. One row a match; `n` is the position in the arrays.
--
-- An alias matches as its order does, with the payload and the request id of the submission that
-- made it one.
--
-- Test orders and live ones have order numbers and request ids of their own. Only the number of a
-- test order from before that is taken for both: its history has it under the live source. The
-- request id of a shop's order from an earlier version, `order:<number>`, is no key of anybody.
--
-- A look-alike is the order of a live fingerprint. For a late batch ($8) it is the first order
-- received within ten minutes of the submission, before or after: by then its fingerprint may
-- have been deleted, or belong to a later order. Look-alikes have the same phone, so an index
-- finds them. An order held as a look-alike opens no window of its own. `apart_s` are the seconds
-- between the two: by the database's clock, or for a late batch between their arrivals; or between
-- the times when they were placed, if these are further apart.
-- `amendments`: how often the order of this number was told anew and took it.
-- OFFSET 0: see `lock_orders.sql`.
WITH input AS MATERIALIZED (
    SELECT *
      FROM unnest(
               $1::int[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[],
               $7::timestamptz[], $9::bool[], $10::timestamptz[]
           ) AS t (
               n, channel, order_no, request_id, lookalike, phone_index, received_at, is_test,
               placed_at
           )
)
SELECT i.n, 'by_request_id' AS how, 0::float8 AS apart_s, 0::bigint AS amendments, o.id,
       o.channel, o.order_no, o.payload_digest, o.status, o.version, o.placed_hold, o.lookalike, o.request_id,
       o.received_at
  FROM input i
  JOIN orders o
    ON o.channel = i.channel AND o.request_id = i.request_id AND o.is_test = i.is_test
 WHERE o.request_id <> 'order:' || o.order_no
    OR NOT EXISTS (
           SELECT FROM order_events e
            WHERE e.source IN ('placed:' || o.channel, 'placed-test:' || o.channel)
              AND e.source_key = o.order_no AND e.order_id = o.id
              AND e.trigger LIKE 'callback:%'
       )
UNION ALL
SELECT i.n, 'by_request_id', 0, 0, o.id, o.channel, o.order_no, a.payload_digest, o.status,
       o.version, o.placed_hold, o.lookalike, a.request_id, o.received_at
  FROM input i
       CROSS JOIN LATERAL (
           SELECT * FROM order_no_aliases q
            WHERE q.channel = i.channel AND q.request_id = i.request_id AND q.is_test = i.is_test
           OFFSET 0
       ) a
  JOIN orders o ON o.id = a.order_id
UNION ALL
SELECT i.n, 'by_order_no', 0, m.amendments, o.id, o.channel, o.order_no, o.payload_digest, o.status,
       o.version, o.placed_hold, o.lookalike, o.request_id, o.received_at
  FROM input i
       CROSS JOIN LATERAL (
           SELECT * FROM orders q WHERE q.channel = i.channel AND q.order_no = i.order_no OFFSET 0
       ) o
       CROSS JOIN LATERAL (
           SELECT count(*) AS amendments FROM order_events e
            WHERE e.order_id = o.id AND e.action = 'amended' AND e.outcome = 'applied'
       ) m
 WHERE o.is_test = i.is_test
    OR o.is_test AND (
           SELECT e.order_id = o.id FROM order_events e
            WHERE e.source = 'placed:' || o.channel AND e.source_key = o.order_no
            LIMIT 1
       )
UNION ALL
SELECT i.n, 'by_order_no', 0, m.amendments, o.id, o.channel, o.order_no, a.payload_digest, o.status,
       o.version, o.placed_hold, o.lookalike, a.request_id, o.received_at
  FROM input i
  JOIN order_no_aliases a
    ON a.order_no = i.order_no AND a.channel = i.channel AND a.is_test = i.is_test
  JOIN orders o ON o.id = a.order_id
       CROSS JOIN LATERAL (
           SELECT count(*) AS amendments FROM order_events e
            WHERE e.order_id = o.id AND e.action = 'amended' AND e.outcome = 'applied'
       ) m
UNION ALL
SELECT i.n, 'by_lookalike',
       greatest(
           extract(epoch FROM now() - (f.expires_at - interval '10 minutes')),
           abs(extract(epoch FROM i.placed_at - o.placed_at))
       )::float8,
       0, o.id, o.channel, o.order_no, o.payload_digest, o.status, o.version, o.placed_hold,
       o.lookalike, o.request_id, o.received_at
  FROM input i
  JOIN fingerprints f ON f.lookalike = i.lookalike AND f.expires_at > now()
  JOIN orders o ON o.id = f.order_id
 WHERE NOT $8::bool
UNION ALL
SELECT i.n, 'by_lookalike',
       greatest(
           abs(extract(epoch FROM i.received_at - l.received_at)),
           abs(extract(epoch FROM i.placed_at - l.placed_at))
       )::float8,
       0, l.id, l.channel, l.order_no, l.payload_digest, l.status, l.version, l.placed_hold,
       l.lookalike, l.request_id, l.received_at
  FROM input i
       CROSS JOIN LATERAL (
           SELECT o.id, o.channel, o.order_no, o.payload_digest, o.status, o.version,
                  o.placed_hold, o.lookalike, o.request_id, o.received_at, o.placed_at
             FROM orders o
            WHERE o.phone_index = i.phone_index AND o.lookalike = i.lookalike
              AND o.received_at > i.received_at - interval '10 minutes'
              AND o.received_at < i.received_at + interval '10 minutes'
              AND o.placed_hold IS DISTINCT FROM 'lookalike'
              -- Held for a graver reason, and a look-alike too: see `place.sql`.
              AND (
                      o.placed_hold IS NULL
                   OR (
                          SELECT true FROM order_events e
                           WHERE e.order_id = o.id AND e.action = 'placed'
                             AND e.detail LIKE 'looks like order %'
                           LIMIT 1
                      ) IS NULL
                  )
            ORDER BY o.received_at, o.id
            LIMIT 1
       ) l
 WHERE $8
