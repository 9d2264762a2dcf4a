-- Events that have waited for $1 seconds and were not re-checked, at most $2, each with an order
-- that it may be for: by its number, by an alias of it, or by any number of its payment. Whatever
-- was tried before: of two transactions that did not see each other neither has tried. Null: none.
SELECT w.id AS event_id, o.id AS order_id
  FROM (
           SELECT * FROM waiting
            WHERE rechecked_at IS NULL AND received_at < now() - make_interval(secs => $1)
            ORDER BY received_at, id
            LIMIT $2
       ) w
       LEFT JOIN LATERAL (
           SELECT n.id FROM orders n
            WHERE n.order_no = w.order_no AND w.order_no <> '' AND n.channel = ANY (w.channels)
              AND n.is_test = w.is_test
           UNION
           SELECT a.order_id FROM order_no_aliases a
            WHERE a.order_no = w.order_no AND w.order_no <> '' AND a.channel = ANY (w.channels)
              AND a.is_test = w.is_test
           UNION
           SELECT n.id
             FROM (
                      SELECT q.order_id FROM payments q
                       WHERE q.provider = w.provider AND q.transaction_id = w.transaction_id
                      UNION
                      SELECT q.order_id FROM payment_names m JOIN payments q ON q.id = m.payment_id
                       WHERE m.provider = w.provider AND m.name = w.transaction_id
                  ) p
                  CROSS JOIN LATERAL (
                      SELECT q.id, q.channel FROM orders q WHERE q.id = p.order_id OFFSET 0
                  ) n
            WHERE w.transaction_id <> '' AND n.channel = ANY (w.channels)
       ) o ON true
