-- A part of the statements that read orders, which name it between two at signs: the columns of an order
-- `o`, with its payments and parcels as JSON texts, the earliest first, its aliases and its acceptances.
o.id, o.channel, o.order_no, o.status, o.version, o.hold, o.is_test, o.buyer_id, o.currency,
       o.items, o.goods, o.shop_discount, o.platform_subsidy, o.freight, o.tax, o.tax_included,
       o.payable, o.paid, o.refunded, o.country, o.province, o.city, o.district, o.private,
       o.carrier, o.tracking_no, o.placed_at, o.received_at, o.updated_at, o.paid_at, o.shipped_at,
       o.completed_at, o.closed_at, o.closed_cause, o.accepted_at,
       o.pays_on_delivery, o.stock_check, o.platform_state, o.screening,
       (
           SELECT coalesce(json_agg(
                      json_build_object(
                          'provider', p.provider, 'source', p.source,
                          'transaction_id', p.transaction_id, 'currency', p.currency,
                          'amount', p.amount::text, 'refunded', p.refunded::text,
                          'standing', p.standing, 'paid_at', p.paid_at,
                          'names', ARRAY(
                              SELECT n.name FROM payment_names n
                               WHERE n.payment_id = p.id ORDER BY n.name
                          ),
                          'disputes', (
                              SELECT coalesce(json_agg(d ORDER BY d.opened_at, d.id), '[]')
                                FROM disputes d WHERE d.payment_id = p.id
                          )
                      )
                      ORDER BY p.paid_at, p.id
                  ), '[]')::text
             FROM payments p WHERE p.order_id = o.id
       ) AS payments,
       (
           SELECT coalesce(json_agg(s ORDER BY s.shipped_at, s.id), '[]')::text
             FROM parcels s WHERE s.order_id = o.id
       ) AS parcels,
       ARRAY(SELECT a.order_no FROM order_no_aliases a WHERE a.order_id = o.id ORDER BY 1) AS aliases,
       coalesce(o.acceptances, '[]') AS acceptances
