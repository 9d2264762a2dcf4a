-- A page of orders, those placed last first; where they are asked for by when they were paid, those
-- paid last first. A filter that is null does not narrow. Run with a custom plan: it leaves out the
-- filters that are null, and knows by which of both times it sorts.
-- An order number is the order's own, or an alias of it; a tracking number that of any parcel; a
-- transaction number any that a provider has for a payment, also without the provider's name.
SELECT @order_columns@
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
   AND ($13::timestamptz IS NULL OR o.paid_at >= $13)
   AND ($14::timestamptz IS NULL OR o.paid_at < $14)
   AND ($15::timestamptz IS NULL OR o.updated_at >= $15)
   AND ($16::timestamptz IS NULL OR o.updated_at < $16)
   AND (
           $17::text IS NULL
        OR o.id = ANY (ARRAY(
               SELECT s.order_id FROM parcels s
                WHERE s.tracking_no = $17 AND s.tracking_no <> ''
                UNION
               -- Shipped when an order had one parcel, and no row for it.
               SELECT n.id FROM orders n WHERE n.tracking_no = $17
           ))
       )
   AND (
           $18::text IS NULL
        OR o.id = ANY (ARRAY(
               -- The index begins with the provider: each that there is, found in it one by one.
               WITH RECURSIVE known AS (
                   SELECT coalesce($19, (SELECT min(p.provider) FROM payments p)) AS provider
                    UNION ALL
                   SELECT (SELECT min(p.provider) FROM payments p WHERE p.provider > k.provider)
                     FROM known k
                    WHERE k.provider IS NOT NULL AND $19::text IS NULL
               ), providers AS MATERIALIZED (
                   SELECT array_agg(k.provider) AS names FROM known k WHERE k.provider IS NOT NULL
               )
               SELECT p.order_id FROM payments p
                WHERE p.provider = ANY ((SELECT names FROM providers)::text[])
                  AND p.transaction_id = $18 AND p.order_id IS NOT NULL
                UNION
               SELECT p.order_id FROM payment_names n JOIN payments p ON p.id = n.payment_id
                WHERE n.provider = ANY ((SELECT names FROM providers)::text[])
                  AND n.name = $18 AND p.order_id IS NOT NULL
           ))
       )
   AND (
           $19::text IS NULL
        -- One order's payments at a time: of EXISTS the server may make a table of all payments.
        OR (SELECT true FROM payments p WHERE p.order_id = o.id AND p.provider = $19 LIMIT 1)
       )
   AND ($20::text IS NULL OR o.buyer_id = $20)
   -- Country, province, city, district: as many as there are.
   AND (
           $21::text[] IS NULL
        OR (
                   o.country = ($21::text[])[1]
               AND (cardinality($21::text[]) < 2 OR o.province = ($21::text[])[2])
               AND (cardinality($21::text[]) < 3 OR o.city = ($21::text[])[3])
               AND (cardinality($21::text[]) < 4 OR o.district = ($21::text[])[4])
           )
       )
   AND (
           $7::timestamptz IS NULL
        OR (
               CASE WHEN coalesce($13, $14) IS NULL THEN o.placed_at ELSE o.paid_at END, o.id
           ) < ($7, $8::uuid)
       )
 ORDER BY CASE WHEN coalesce($13, $14) IS NULL THEN o.placed_at ELSE o.paid_at END DESC, o.id DESC
 LIMIT $9
