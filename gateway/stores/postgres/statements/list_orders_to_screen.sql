-- The newest orders before the one of this id (null: all), newest first, as they were placed: what
-- screening rules are tried against.
SELECT o.id, o.channel, o.order_no, o.is_test, o.buyer_id, o.currency, o.items::text AS items, o.goods,
       o.shop_discount, o.platform_subsidy, o.freight, o.tax, o.payable, o.country, o.province, o.city,
       o.district, o.private, o.platform_state, o.placed_at, o.received_at, o.placed_hold
  FROM orders o
 WHERE o.id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
 ORDER BY o.id DESC
 LIMIT $2
