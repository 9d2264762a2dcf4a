-- Append to the change feed, in the order of the arrays. Only the relay does: positions are drawn
-- in the order in which they become visible.
INSERT INTO order_changes (
    position, order_id, version, topic, event_id, changed_at, relayed_at
)
SELECT nextval('order_changes_position'), i.order_id, i.version, i.topic, i.event_id, i.changed_at,
       now()
  FROM (
           SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::uuid[], $5::timestamptz[])
                    WITH ORDINALITY AS u (order_id, version, topic, event_id, changed_at, n)
            ORDER BY u.n
       ) i
