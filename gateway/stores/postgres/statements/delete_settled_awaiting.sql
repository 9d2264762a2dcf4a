-- Forget orders that need no word of a target any more, once it is due: accepted, shipped, closed,
-- refunded or held. When a hold ends, or a refund fails, the order is told as paid again, and waits
-- anew. As `list_missed.sql`, the other way round; $4 rows at most. What is locked is left.
DELETE FROM awaiting_acceptance w
 USING (
           SELECT a.order_id, a.target
             FROM unnest($1::text[], $2::timestamptz[]) AS t (target, before)
             JOIN awaiting_acceptance a ON a.target = t.target AND a.since < t.before
             JOIN orders o ON o.id = a.order_id
            WHERE o.status <> 'paid' OR o.hold = ANY ($3::text[])
               OR o.acceptances @> jsonb_build_array(jsonb_build_object('target', a.target))
            ORDER BY a.order_id, a.target
            LIMIT $4
              FOR UPDATE OF a SKIP LOCKED
       ) s
 WHERE w.order_id = s.order_id AND w.target = s.target
