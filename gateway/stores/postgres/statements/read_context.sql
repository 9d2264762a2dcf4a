-- What a batch of follow-ups depends on beside its locked orders, in one round trip and in a
-- snapshot taken after the locks: their payments, what waits for them, and which of the events
-- are recorded already. JSON texts, decoded into typed structs.
--
-- OFFSET 0: see `lock_orders.sql`.
WITH transactions AS MATERIALIZED (
    SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS t (provider, transaction_id)
), locked AS MATERIALIZED (
    SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[]) AS t (id, channel, order_no)
), aliases AS MATERIALIZED (
    SELECT l.id, a.order_no
      FROM locked l
           CROSS JOIN LATERAL (
               SELECT q.order_no FROM order_no_aliases q WHERE q.order_id = l.id OFFSET 0
           ) a
), numbers AS MATERIALIZED (
    SELECT order_no FROM locked
    UNION
    SELECT order_no FROM aliases
), near AS MATERIALIZED (
    SELECT p.*
      FROM transactions t
           CROSS JOIN LATERAL (
               SELECT * FROM payments q
                WHERE q.provider = t.provider AND q.transaction_id = t.transaction_id
               OFFSET 0
           ) p
    UNION
    SELECT p.*
      FROM transactions t
      JOIN payment_names o ON o.provider = t.provider AND o.name = t.transaction_id
      JOIN payments p ON p.id = o.payment_id
    UNION
    SELECT p.*
      FROM locked l
           CROSS JOIN LATERAL (SELECT * FROM payments q WHERE q.order_id = l.id OFFSET 0) p
    UNION
    SELECT p.*
      FROM numbers n
           CROSS JOIN LATERAL (
               SELECT * FROM payments q
                WHERE q.order_no = n.order_no AND q.order_id IS NULL
               OFFSET 0
           ) p
), awaiting AS MATERIALIZED (
    SELECT w.*
      FROM numbers n
           CROSS JOIN LATERAL (SELECT * FROM waiting q WHERE q.order_no = n.order_no OFFSET 0) w
    UNION
    SELECT w.*
      FROM (
               SELECT provider, transaction_id FROM near
               UNION
               SELECT o.provider, o.name
                 FROM near n
                      CROSS JOIN LATERAL (
                          SELECT * FROM payment_names q WHERE q.payment_id = n.id OFFSET 0
                      ) o
               UNION
               SELECT provider, transaction_id FROM transactions
           ) t
           CROSS JOIN LATERAL (
               SELECT * FROM waiting q
                WHERE q.provider = t.provider AND q.transaction_id = t.transaction_id
               OFFSET 0
           ) w
     WHERE t.transaction_id <> ''
), known AS (
    SELECT * FROM near
    UNION
    -- Of what waits, too: two accounts may have reported one transaction, each for its channels.
    SELECT p.*
      FROM awaiting w
           CROSS JOIN LATERAL (
               SELECT * FROM payments q
                WHERE q.provider = w.provider AND q.transaction_id = w.transaction_id
               OFFSET 0
           ) p
     WHERE w.transaction_id <> ''
), single_refunds AS (
    SELECT *
      FROM unnest($8::text[], $9::text[], $10::text[]) AS r (provider, transaction_id, refund_no)
    UNION
    SELECT w.provider, w.transaction_id, w.event ->> 'refund_no'
      FROM awaiting w
     WHERE w.event ->> 'refund_no' <> ''
), keys AS (
    SELECT * FROM unnest($6::text[], $7::text[]) AS k (source, source_key)
    UNION
    -- The key of `events.refund_key`: by the account that reported the payment, and by the
    -- provider, as revisions before 0009 wrote it.
    SELECT 'refund:' || o.origin, r.transaction_id || ' ' || r.refund_no
      FROM single_refunds r
     CROSS JOIN LATERAL (
               SELECT r.provider
               UNION
               SELECT k.source
                 FROM known k
                WHERE k.provider = r.provider AND k.transaction_id = r.transaction_id
           ) o (origin)
)
SELECT (SELECT coalesce(json_agg(k), '[]')::text FROM known k) AS payments,
       (
           SELECT coalesce(json_agg(r ORDER BY r.occurred_at, r.id), '[]')::text
             FROM known k
                  CROSS JOIN LATERAL (SELECT * FROM refunds q WHERE q.payment_id = k.id OFFSET 0) r
       ) AS refunds,
       (
           SELECT coalesce(json_agg(d ORDER BY d.opened_at, d.id), '[]')::text
             FROM known k
                  CROSS JOIN LATERAL (SELECT * FROM disputes q WHERE q.payment_id = k.id OFFSET 0) d
       ) AS disputes,
       (
           SELECT coalesce(json_agg(o ORDER BY o.name), '[]')::text
             FROM known k
                  CROSS JOIN LATERAL (
                      SELECT * FROM payment_names q WHERE q.payment_id = k.id OFFSET 0
                  ) o
       ) AS names,
       (
           SELECT coalesce(json_agg(s ORDER BY s.shipped_at, s.id), '[]')::text
             FROM locked l
                  CROSS JOIN LATERAL (SELECT * FROM parcels q WHERE q.order_id = l.id OFFSET 0) s
       ) AS parcels,
       (
           SELECT coalesce(json_agg(json_build_array(a.id, a.order_no)), '[]')::text FROM aliases a
       ) AS aliases,
       (SELECT coalesce(json_agg(w), '[]')::text FROM awaiting w) AS waiting,
       (
           SELECT coalesce(json_agg(json_build_array(e.source, e.source_key)), '[]')::text
             FROM keys k
                  CROSS JOIN LATERAL (
                      SELECT q.source, q.source_key FROM order_events q
                       WHERE q.source = k.source AND q.source_key = k.source_key
                      OFFSET 0
                  ) e
       ) AS recorded
