-- Those of these payments ($1) that belong to no order, with the channels in which there is an order
-- of the number that they name, whatever their account is configured for.
SELECT p.id, p.provider, p.transaction_id, p.order_no, p.amount, p.currency,
       ARRAY(
           SELECT DISTINCT o.channel FROM orders o
            WHERE o.order_no = p.order_no AND p.order_no <> ''
            ORDER BY 1 LIMIT 5
       ) AS elsewhere
  FROM unnest($1::uuid[]) AS w (id)
       CROSS JOIN LATERAL (SELECT * FROM payments q WHERE q.id = w.id OFFSET 0) p
 WHERE p.order_id IS NULL
