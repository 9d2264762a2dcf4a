-- What is wrong in the ledger and has no case: never had one, or one whose cause had ended. At most
-- $3 of each source. Test orders are nobody's case. Each source is read by its index of open rows.
WITH held AS (
    SELECT 'hold' AS source, o.id::text || ':' || o.hold AS key, o.hold AS reason,
           '' AS detail, o.id AS order_id, o.order_no, o.channel,
           (SELECT min(d.due_at) FROM payments p JOIN disputes d ON d.payment_id = p.id
             WHERE p.order_id = o.id AND d.state = 'opened') AS due_at
      FROM orders o
     WHERE o.hold IS NOT NULL AND NOT o.is_test
       AND NOT EXISTS (
               SELECT FROM exceptions e
                WHERE e.source = 'hold' AND e.source_key = o.id::text || ':' || o.hold
                  AND e.ended_at IS NULL
           )
     LIMIT $3
), left_over AS (
    SELECT 'parked' AS source, p.id::text AS key, p.reason, coalesce(p.detail, '') AS detail,
           p.order_id, coalesce(o.order_no, '') AS order_no, coalesce(o.channel, '') AS channel,
           null::timestamptz AS due_at
      FROM parked p LEFT JOIN orders o ON o.id = p.order_id
     WHERE p.resolved_at IS NULL AND o.is_test IS NOT TRUE
       AND NOT EXISTS (
               SELECT FROM exceptions e
                WHERE e.source = 'parked' AND e.source_key = p.id::text AND e.ended_at IS NULL
           )
     LIMIT $3
), part_paid AS (
    SELECT 'part_paid' AS source, o.id::text AS key, 'part_paid' AS reason, '' AS detail,
           o.id AS order_id, o.order_no, o.channel, null::timestamptz AS due_at
      FROM orders o
     WHERE o.status = 'pending_payment' AND o.paid > 0 AND NOT o.is_test
       AND o.placed_at < $1::timestamptz - make_interval(secs => $2)
       AND NOT EXISTS (
               SELECT FROM exceptions e
                WHERE e.source = 'part_paid' AND e.source_key = o.id::text AND e.ended_at IS NULL
           )
     LIMIT $3
), dead AS (
    SELECT 'dead_letter' AS source, d.target || ':' || d.event_id AS key, d.topic AS reason,
           format('to %s: %s', d.target, d.reason) AS detail, d.order_id, o.order_no, o.channel,
           null::timestamptz AS due_at
      FROM deliveries d JOIN orders o ON o.id = d.order_id
     WHERE d.dead_at IS NOT NULL AND NOT o.is_test
       AND NOT EXISTS (
               SELECT FROM exceptions e
                WHERE e.source = 'dead_letter' AND e.source_key = d.target || ':' || d.event_id
                  AND e.ended_at IS NULL
           )
     LIMIT $3
), scanned AS (
    -- What has a case already, for its hold or as a parked message, needs no second one.
    SELECT 'scan' AS source, f.kind || ':' || f.subject AS key, f.kind AS reason, f.detail,
           f.order_id, f.order_no, f.channel, null::timestamptz AS due_at
      FROM scan_findings f
     WHERE f.ended_at IS NULL
       AND NOT EXISTS (
               SELECT FROM exceptions e
                WHERE e.source = 'scan' AND e.source_key = f.kind || ':' || f.subject
                  AND e.ended_at IS NULL
           )
       AND (
               f.kind IN ('sum_differs', 'not_handed_on')
            OR NOT EXISTS (
                   SELECT FROM exceptions e
                    WHERE e.order_no = f.order_no AND e.source IN ('hold', 'parked')
                      AND e.ended_at IS NULL
               )
           )
     LIMIT $3
)
SELECT * FROM held UNION ALL SELECT * FROM left_over
UNION ALL SELECT * FROM part_paid UNION ALL SELECT * FROM dead UNION ALL SELECT * FROM scanned
