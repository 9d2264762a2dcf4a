-- Lock the orders that a batch of follow-ups is about, in one order (by id), so that batches
-- cannot deadlock. Found by (channel, order_no, is_test) or an alias of that, by a number of the
-- transaction that paid, by the tracking number of a parcel, or by id.
--
-- OFFSET 0: each is looked up by its index. A generic plan made while the tables are empty would
-- join them whole when they are full.
SELECT o.id, o.channel, o.order_no, o.status, o.version, o.hold, o.currency, o.payable, o.paid,
       o.refunded, o.paid_at, o.shipped_at, o.completed_at, o.closed_at, o.carrier, o.tracking_no,
       o.placed_hold, o.is_test, o.released_at, o.closed_cause, o.pays_on_delivery, o.is_delivered,
       o.held_at, o.reopened_at, o.accepted_at,
       o.acceptances
  FROM orders o
 WHERE o.id = ANY (ARRAY(
           SELECT n.id
             FROM unnest($1::text[], $2::text[], $8::bool[]) AS i (channel, order_no, is_test)
             JOIN orders n
               ON n.channel = i.channel AND n.order_no = i.order_no AND n.is_test = i.is_test
           UNION
           SELECT a.order_id
             FROM unnest($1::text[], $2::text[], $8::bool[]) AS i (channel, order_no, is_test)
             JOIN order_no_aliases a
               ON a.order_no = i.order_no AND a.channel = i.channel AND a.is_test = i.is_test
           UNION
           SELECT p.order_id
             FROM unnest($3::text[], $4::text[]) AS i (provider, transaction_id)
                  CROSS JOIN LATERAL (
                      SELECT q.order_id FROM payments q
                       WHERE q.provider = i.provider AND q.transaction_id = i.transaction_id
                      OFFSET 0
                  ) p
            WHERE p.order_id IS NOT NULL
           UNION
           SELECT p.order_id
             FROM unnest($3::text[], $4::text[]) AS i (provider, name)
             JOIN payment_names o ON o.provider = i.provider AND o.name = i.name
             JOIN payments p ON p.id = o.payment_id
            WHERE p.order_id IS NOT NULL
           UNION
           SELECT n.id
             FROM unnest($5::text[], $6::text[]) AS i (channel, tracking_no)
                  CROSS JOIN LATERAL (
                      SELECT q.order_id FROM parcels q
                       WHERE q.tracking_no = i.tracking_no AND q.tracking_no <> ''
                      OFFSET 0
                  ) s
                  CROSS JOIN LATERAL (
                      SELECT q.id, q.channel FROM orders q WHERE q.id = s.order_id OFFSET 0
                  ) n
            WHERE n.channel = i.channel
           UNION
           -- Shipped when parcels had no rows.
           SELECT n.id
             FROM unnest($5::text[], $6::text[]) AS i (channel, tracking_no)
                  CROSS JOIN LATERAL (
                      SELECT q.id, q.channel FROM orders q
                       WHERE q.tracking_no = i.tracking_no
                      OFFSET 0
                  ) n
            WHERE n.channel = i.channel
           UNION
           SELECT unnest($7::uuid[])
       ))
 ORDER BY o.id
   FOR UPDATE OF o
