-- Park a note about each event that has waited too long for its order: one row of `parked` an
-- event, by which an operator learns of it; the event goes on waiting. Where the order exists, the
-- event waits for another one that must come before it. An array, not IN: a plan that runs the
-- subquery again for each row finds other rows each time and exceeds the limit.
--
-- Returns what was parked, by the numbers with which a person finds it.
WITH late AS (
    UPDATE waiting
       SET shown_at = now()
     WHERE id = ANY (ARRAY(
               SELECT id FROM waiting
                WHERE shown_at IS NULL AND received_at < now() - make_interval(secs => $1)
                ORDER BY received_at LIMIT $2
                  FOR UPDATE SKIP LOCKED
           ))
    RETURNING id, source, provider, channels, order_no, transaction_id, event, received_at, is_test
), found AS MATERIALIZED (
    SELECT l.id, l.source, l.id::text AS source_key, o.id AS order_id,
           -- A held order does not leave: what says that it did waits until the hold ends.
           CASE WHEN o.hold IS NOT NULL AND l.event ->> 'type' IN ('shipped', 'delivered')
                THEN 'held'
                WHEN o.id IS NOT NULL THEN 'impossible_transition' ELSE 'unknown_order'
           END AS reason,
           CASE WHEN o.id IS NULL AND l.order_no = ''
                THEN format('transaction %s names no order', l.transaction_id)
                WHEN o.id IS NULL
                THEN format(
                         'no %sorder %s for transaction %s', CASE WHEN l.is_test THEN 'test ' END,
                         l.order_no, l.transaction_id
                     )
                WHEN o.hold IS NOT NULL AND l.event ->> 'type' IN ('shipped', 'delivered')
                THEN format('%s, and the order is held: %s', l.event ->> 'type', o.hold)
                ELSE format('%s waits for what must come before it', l.event ->> 'type')
           END AS detail,
           l.received_at, l.provider, l.transaction_id,
           CASE WHEN l.order_no = '' THEN coalesce(o.order_no, '') ELSE l.order_no END AS order_no
      FROM late l
           LEFT JOIN LATERAL (
               SELECT n.id, n.hold, n.order_no FROM orders n
                WHERE n.order_no = l.order_no AND n.channel = ANY (l.channels)
                  AND n.is_test = l.is_test
               UNION ALL
               SELECT n.id, n.hold, n.order_no
                 FROM order_no_aliases a JOIN orders n ON n.id = a.order_id
                WHERE a.order_no = l.order_no AND a.channel = ANY (l.channels)
                  AND a.is_test = l.is_test
               UNION ALL
               SELECT n.id, n.hold, n.order_no
                 FROM payments p JOIN orders n ON n.id = p.order_id
                WHERE p.provider = l.provider AND p.transaction_id = l.transaction_id
                  AND l.order_no = '' AND n.channel = ANY (l.channels)
                LIMIT 1
           ) o ON true
), parked_rows AS (
    INSERT INTO parked (
        id, source, source_key, order_id, reason, detail, received_at, account, order_no,
        transaction_no
    )
    SELECT id, source, source_key, order_id, reason, detail, received_at, source, order_no,
           transaction_id
      FROM found
)
SELECT reason, provider, order_no, transaction_id FROM found
