-- End the cases whose cause has ended, at most $2 of them; what no person had resolved is resolved
-- by that. Returns the ids of the latter.
WITH ended AS (
    SELECT e.id, e.resolved_at
      FROM exceptions e
     WHERE e.ended_at IS NULL AND e.source <> 'person'
       AND CASE e.source
           WHEN 'hold' THEN NOT EXISTS (
               SELECT FROM orders o WHERE o.id = e.order_id AND o.hold = e.reason)
           WHEN 'parked' THEN NOT EXISTS (
               SELECT FROM parked p
                WHERE p.id = e.source_key::uuid AND p.resolved_at IS NULL)
           WHEN 'scan' THEN NOT EXISTS (
               SELECT FROM scan_findings f
                WHERE f.kind = split_part(e.source_key, ':', 1)
                  AND f.subject = split_part(e.source_key, ':', 2)::uuid AND f.ended_at IS NULL)
           WHEN 'part_paid' THEN NOT EXISTS (
               SELECT FROM orders o
                WHERE o.id = e.order_id AND o.status = 'pending_payment' AND o.paid > 0)
           ELSE NOT EXISTS (
               SELECT FROM deliveries d
                WHERE d.target = split_part(e.source_key, ':', 1)
                  AND d.event_id = split_part(e.source_key, ':', 2)::uuid
                  AND d.dead_at IS NOT NULL)
           END
     LIMIT $2
       FOR UPDATE SKIP LOCKED
), changed AS (
    UPDATE exceptions e
       SET ended_at = $1, resolved_at = coalesce(e.resolved_at, $1)
      FROM ended n
     WHERE e.id = n.id
)
SELECT id FROM ended WHERE resolved_at IS NULL
