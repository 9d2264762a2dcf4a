-- Move the $1 oldest rows out of the outbox into the change feed; one relay at a time, which holds
-- the lock of `lock_relay`: positions are drawn in the order in which they become visible.
--
-- Returns how many; whether there are targets besides these ($3) that a worker had in its settings
-- within $4 seconds; and the rows of the topics $2 (null, and where there are others: of all) with
-- what is asked of their orders: at least one row, which has but nulls where there are none. An order
-- that is gone has left its rows to nobody.
WITH taken AS MATERIALIZED (
    DELETE FROM outbox
     WHERE position = ANY (ARRAY(SELECT position FROM outbox ORDER BY position LIMIT $1))
    RETURNING position, id, order_id, version, topic, priority, created_at
), others AS MATERIALIZED (
    SELECT EXISTS (
               SELECT FROM targets
                WHERE name <> ALL ($3::text[]) AND known_at > now() - $4 * interval '1 second'
           ) AS is_for_others
), fed AS (
    INSERT INTO order_changes (
        position, order_id, version, topic, event_id, changed_at, relayed_at
    )
    SELECT nextval('order_changes_position'), order_id, version, topic, id, created_at, now()
      FROM (SELECT * FROM taken ORDER BY position) AS t
)
SELECT n.total, w.is_for_others, t.position, t.id, t.order_id, t.version, t.topic, t.priority, t.created_at,
       o.channel, o.country, o.province, o.city, o.is_test
  FROM (SELECT count(*) AS total FROM taken) AS n
       CROSS JOIN others AS w
       LEFT JOIN (
           SELECT * FROM taken
            WHERE $2::text[] IS NULL OR topic = ANY ($2) OR (SELECT is_for_others FROM others)
       ) AS t ON true
       LEFT JOIN LATERAL (
           SELECT q.channel, q.country, q.province, q.city, q.is_test
             FROM orders q WHERE q.id = t.order_id OFFSET 0
       ) o ON true
 ORDER BY t.position
