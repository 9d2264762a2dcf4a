-- What a batch of follow-ups depends on beside its locked orders, in one round trip and in a
-- snapshot taken after the locks: their payments, what waits for them, and which of the events
-- are recorded already. JSON texts, decoded into typed structs.
WITH transactions AS MATERIALIZED (
    SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS t (provider, transaction_id)
), locked AS MATERIALIZED (
    SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[]) AS t (id, channel, order_no)
), aliases AS MATERIALIZED (
    SELECT l.id, a.order_no FROM locked l JOIN order_no_aliases a ON a.order_id = l.id
), numbers AS MATERIALIZED (
    SELECT order_no FROM locked
    UNION
    SELECT order_no FROM aliases
), near AS MATERIALIZED (
    SELECT p.* FROM transactions t JOIN payments p USING (provider, transaction_id)
    UNION
    SELECT p.*
      FROM transactions t
      JOIN payment_names o ON o.provider = t.provider AND o.name = t.transaction_id
      JOIN payments p ON p.id = o.payment_id
    UNION
    SELECT p.* FROM locked l JOIN payments p ON p.order_id = l.id
    UNION
    SELECT p.* FROM numbers n JOIN payments p ON p.order_no = n.order_no AND p.order_id IS NULL
), awaiting AS MATERIALIZED (
    SELECT w.* FROM numbers n JOIN waiting w ON w.order_no = n.order_no
    UNION
    SELECT w.*
      FROM (
               SELECT provider, transaction_id FROM near
               UNION
               SELECT o.provider, o.name FROM near n JOIN payment_names o ON o.payment_id = n.id
               UNION
               SELECT provider, transaction_id FROM transactions
           ) t
      JOIN waiting w ON w.provider = t.provider AND w.transaction_id = t.transaction_id
     WHERE w.transaction_id <> ''
), known AS (
    SELECT * FROM near
    UNION
    -- Of what waits, too: two accounts may have reported one transaction, each for its channels.
    SELECT p.* FROM awaiting w JOIN payments p USING (provider, transaction_id)
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
             FROM known k JOIN refunds r ON r.payment_id = k.id
       ) AS refunds,
       (
           SELECT coalesce(json_agg(d ORDER BY d.opened_at, d.id), '[]')::text
             FROM known k JOIN disputes d ON d.payment_id = k.id
       ) AS disputes,
       (
           SELECT coalesce(json_agg(o ORDER BY o.name), '[]')::text
             FROM known k JOIN payment_names o ON o.payment_id = k.id
       ) AS names,
       (
           SELECT coalesce(json_agg(s ORDER BY s.shipped_at, s.id), '[]')::text
             FROM locked l JOIN parcels s ON s.order_id = l.id
       ) AS parcels,
       (
           SELECT coalesce(json_agg(json_build_array(a.id, a.order_no)), '[]')::text FROM aliases a
       ) AS aliases,
       (SELECT coalesce(json_agg(w), '[]')::text FROM awaiting w) AS waiting,
       (
           SELECT coalesce(json_agg(json_build_array(e.source, e.source_key)), '[]')::text
             FROM keys k
             JOIN order_events e ON e.source = k.source AND e.source_key = k.source_key
       ) AS recorded
