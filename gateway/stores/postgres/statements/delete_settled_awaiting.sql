-- Forget orders that need no word of a target any more, once it is due: accepted, shipped, closed,
-- refunded or held. When a hold ends, or a refund fails, the order is told as paid again, and waits
-- anew: such a row, written meanwhile, has another time and stays. As `list_missed.sql`, the other
-- way round; $4 rows at most.
DELETE FROM awaiting_acceptance w
 USING (
           SELECT a.order_id, a.target, a.since
             FROM unnest($1::text[], $2::timestamptz[]) AS t (target, before)
                  CROSS JOIN LATERAL (
                      SELECT q.order_id, q.target, q.since FROM awaiting_acceptance q
                       WHERE q.target = t.target AND q.since < t.before
                      OFFSET 0
                  ) a
                  CROSS JOIN LATERAL (
                      SELECT q.status, q.hold, q.acceptances FROM orders q
                       WHERE q.id = a.order_id
                      OFFSET 0
                  ) o
            WHERE o.status <> 'paid' OR o.hold = ANY ($3::text[])
               OR o.acceptances @> jsonb_build_array(jsonb_build_object('target', a.target))
            LIMIT $4
       ) s
 WHERE w.order_id = s.order_id AND w.target = s.target AND w.since = s.since
