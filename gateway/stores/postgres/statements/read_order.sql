-- One order by its id, else by an alias of it, if it is of these channels and of this
-- kind, test or live (null: of any).
SELECT o.id, o.channel, o.order_no, o.status, o.version, o.hold, o.is_test, o.buyer_id, o.currency,
       o.items, o.goods, o.shop_discount, o.platform_subsidy, o.freight, o.tax, o.tax_included,
       o.payable, o.paid, o.refunded, o.country, o.province, o.city, o.district, o.private,
       o.carrier, o.tracking_no, o.placed_at, o.received_at, o.updated_at, o.paid_at, o.shipped_at,
       o.completed_at, o.closed_at, o.stock_check
  FROM orders o
 WHERE o.id = coalesce(
           (SELECT n.id FROM orders n WHERE n.id = $1),
           (SELECT a.order_id FROM order_aliases a WHERE a.alias = $1)
       )
   AND ($2::text[] IS NULL OR o.channel = ANY ($2))
   AND ($3::bool IS NULL OR o.is_test = $3)
