-- Orders that should have been paid by now, those that are due longest first, and whether they are
-- to be closed for it. An event that waits for one may be its payment.
SELECT o.id, o.channel, o.order_no, o.is_test,
       o.status = 'pending_payment' AND o.paid = 0 AND NOT o.pays_on_delivery AS is_unpaid,
       EXISTS (
           SELECT FROM waiting w
            WHERE w.order_no = o.order_no AND o.channel = ANY (w.channels) AND w.is_test = o.is_test
       ) AS has_waiting
  FROM unpaid_orders u JOIN orders o ON o.id = u.order_id
 WHERE u.due_at < now()
 ORDER BY u.due_at
 LIMIT $1
