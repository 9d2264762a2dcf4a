-- Take a request id off the order of a shop that has it. Earlier versions stored `order:<number>`
-- with each, which a storefront may send as the key of any order.
UPDATE orders o
   SET request_id = NULL
 WHERE o.channel = $1 AND o.request_id = $2 AND o.is_test = $3
   AND o.request_id = 'order:' || o.order_no
   AND EXISTS (
           SELECT FROM order_events e
            WHERE e.source IN ('placed:' || o.channel, 'placed-test:' || o.channel)
              AND e.source_key = o.order_no AND e.order_id = o.id
              AND e.trigger LIKE 'callback:%'
       )
