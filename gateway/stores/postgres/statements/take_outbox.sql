-- Take the oldest rows out of the outbox, with what is asked of their orders; one relay at a time,
-- which holds the lock of `lock_relay`. An order that is gone has left its rows to nobody.
WITH taken AS (
    DELETE FROM outbox
     WHERE position = ANY (ARRAY(SELECT position FROM outbox ORDER BY position LIMIT $1))
    RETURNING position, id, order_id, version, topic, priority, created_at
)
SELECT t.position, t.id, t.order_id, t.version, t.topic, t.priority, t.created_at, o.channel,
       o.country, o.province, o.city, o.is_test
  FROM taken t
       LEFT JOIN LATERAL (
           SELECT n.channel, n.country, n.province, n.city, n.is_test
             FROM orders n WHERE n.id = t.order_id OFFSET 0
       ) o ON true
 ORDER BY t.position
