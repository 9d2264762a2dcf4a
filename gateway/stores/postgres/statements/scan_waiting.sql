-- A page of events that have waited since before $2, by id after $1: payments apart, which are
-- found by themselves. With the order that they wait with, where there is one.
SELECT w.id, w.source, w.order_no, w.transaction_id, w.event ->> 'type' AS type, w.received_at,
       o.id AS order_id, o.channel
  FROM waiting w
       LEFT JOIN LATERAL (
           SELECT n.id, n.channel FROM orders n
            WHERE n.order_no = w.order_no AND n.channel = ANY (w.channels) AND n.is_test = w.is_test
            LIMIT 1
       ) o ON true
 WHERE w.id > $1 AND w.received_at < $2 AND NOT w.is_test
   AND w.event ->> 'type' <> 'payment_succeeded'
 ORDER BY w.id
 LIMIT $3
