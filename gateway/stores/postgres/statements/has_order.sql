-- Whether an order of these channels and of this kind, test or live (null: of any), exists, by its
-- id or else by an alias of it.
SELECT true
  FROM orders o
 WHERE o.id = coalesce(
           (SELECT n.id FROM orders n WHERE n.id = $1),
           (SELECT a.order_id FROM order_aliases a WHERE a.alias = $1)
       )
   AND ($2::text[] IS NULL OR o.channel = ANY ($2))
   AND ($3::bool IS NULL OR o.is_test = $3)
