-- Orders in their current state, as targets are told them, by their ids with commas in between;
-- $2: with what is sealed of them.
SELECT o.id, o.channel, o.order_no, o.status, o.version, o.hold, o.is_test, o.buyer_id, o.currency,
       o.items, o.goods, o.shop_discount, o.platform_subsidy, o.freight, o.tax, o.tax_included,
       o.payable, o.paid, o.refunded, o.country, o.province, o.city, o.district,
       CASE WHEN $2::bool THEN o.private END AS private, o.pays_on_delivery,
       o.screening ->> 'warehouse' AS warehouse, o.screening ->> 'carrier' AS carrier,
       o.placed_at, o.paid_at, o.shipped_at, o.completed_at, o.closed_at, o.updated_at,
       (
           SELECT coalesce(json_agg(
                      json_build_object(
                          'provider', p.provider, 'source', p.source,
                          'transaction_id', p.transaction_id, 'currency', p.currency,
                          'amount', p.amount::text, 'refunded', p.refunded::text,
                          'standing', p.standing, 'paid_at', p.paid_at
                      )
                      ORDER BY p.paid_at, p.id
                  ), '[]')::text
             FROM payments p WHERE p.order_id = o.id
       ) AS payments,
       (
           SELECT coalesce(json_agg(s ORDER BY s.shipped_at, s.id), '[]')::text
             FROM parcels s WHERE s.order_id = o.id
       ) AS parcels
  FROM orders o
 WHERE o.id = ANY (string_to_array($1, ',')::uuid[])
