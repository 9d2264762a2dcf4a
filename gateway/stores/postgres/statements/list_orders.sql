-- A page of orders, newest first. A filter that is null does not narrow. Run with a custom plan.
-- An order number is the order's own, or an alias of it.
SELECT o.id, o.channel, o.order_no, o.status, o.version, o.hold, o.is_test, o.buyer_id, o.currency,
       o.items, o.goods, o.shop_discount, o.platform_subsidy, o.freight, o.tax, o.tax_included,
       o.payable, o.paid, o.refunded, o.country, o.province, o.city, o.district, o.private,
       o.carrier, o.tracking_no, o.placed_at, o.received_at, o.updated_at, o.paid_at, o.shipped_at,
       o.completed_at, o.closed_at, o.closed_cause, o.pays_on_delivery, o.stock_check,
       o.platform_state
  FROM orders o
 WHERE ($1::text[] IS NULL OR o.channel = ANY ($1))
   AND (
           $2::text IS NULL
        OR o.order_no = $2
        OR o.id = ANY (ARRAY(SELECT a.order_id FROM order_no_aliases a WHERE a.order_no = $2))
       )
   AND ($3::text IS NULL OR o.status = $3)
   AND ($4::timestamptz IS NULL OR o.placed_at >= $4)
   AND ($5::timestamptz IS NULL OR o.placed_at < $5)
   AND ($6::bytea[] IS NULL OR o.phone_index = ANY ($6))
   AND ($10::bool IS NULL OR o.is_test = $10)
   AND ($11::text[] IS NULL OR o.hold = ANY ($11))
   AND (
           $12::bool IS NULL
        OR (o.status = 'pending_payment' AND o.paid > 0) = $12
       )
   AND ($7::timestamptz IS NULL OR (o.placed_at, o.id) < ($7, $8::uuid))
 ORDER BY o.placed_at DESC, o.id DESC
 LIMIT $9
