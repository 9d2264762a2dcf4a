-- What does not agree of these orders ($1), in one snapshot, a row for each kind. $2: standings of
-- payments that count; $3: holds that stop the hand-off; $4: money that is owed since before then is
-- owed for too long. An order that arrived before the change feed began may have been told without
-- it. Test orders are nobody's case. OFFSET 0: see `lock_orders.sql`.
WITH found AS MATERIALIZED (
    SELECT o.*, s.counted_paid, s.counted_refunded, s.last_paid_at, s.is_double,
           o.paid - o.refunded - CASE WHEN o.closed_at IS NULL THEN o.payable ELSE 0 END AS owed
      FROM unnest($1::uuid[]) AS w (id)
           CROSS JOIN LATERAL (
               SELECT q.id, q.channel, q.order_no, q.status, q.hold, q.currency, q.payable, q.paid,
                      q.refunded, q.closed_at, q.received_at, q.updated_at
                 FROM orders q WHERE q.id = w.id AND NOT q.is_test
               OFFSET 0
           ) o
           CROSS JOIN LATERAL (
               SELECT coalesce(sum(p.amount), 0) AS counted_paid,
                      coalesce(sum(p.refunded), 0) AS counted_refunded,
                      max(p.paid_at) AS last_paid_at,
                      coalesce(
                          bool_or(p.standing = 'duplicate' AND p.refunded < p.amount)
                          OR count(*) > count(DISTINCT (p.provider, p.transaction_id)), false
                      ) AS is_double
                 FROM payments p
                WHERE p.order_id = o.id AND p.standing = ANY ($2::text[])
           ) s
), staged AS MATERIALIZED (
    -- The outbox has no index for it: read once, and only where the feed lacks something.
    SELECT order_id FROM outbox WHERE topic = 'order.paid' AND order_id = ANY ($1)
)
SELECT 'sum_differs' AS kind, f.id, f.channel, f.order_no, f.currency, f.paid, f.refunded,
       f.counted_paid, f.counted_refunded, f.owed
  FROM found f
 WHERE f.paid <> f.counted_paid OR f.refunded <> f.counted_refunded
UNION ALL
SELECT 'double_payment', f.id, f.channel, f.order_no, f.currency, f.paid, f.refunded,
       f.counted_paid, f.counted_refunded, f.owed
  FROM found f
 WHERE f.is_double
UNION ALL
SELECT 'refund_overdue', f.id, f.channel, f.order_no, f.currency, f.paid, f.refunded,
       f.counted_paid, f.counted_refunded, f.owed
  FROM found f
 WHERE f.owed > 0 AND greatest(f.last_paid_at, f.closed_at) < $4
UNION ALL
SELECT 'not_handed_on', f.id, f.channel, f.order_no, f.currency, f.paid, f.refunded,
       f.counted_paid, f.counted_refunded, f.owed
  FROM found f
 WHERE f.status = 'paid' AND (f.hold IS NULL OR f.hold <> ALL ($3::text[]))
   AND f.received_at > (SELECT c.relayed_at FROM order_changes c ORDER BY c.position LIMIT 1)
   AND NOT EXISTS (
           SELECT FROM order_changes c WHERE c.order_id = f.id AND c.topic = 'order.paid'
       )
   AND NOT EXISTS (SELECT FROM staged x WHERE x.order_id = f.id)
