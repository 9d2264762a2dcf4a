-- One order by its id, else by an alias of it, if it is of these channels and of this kind, test or
-- live (null: of any); with its payments and parcels as JSON texts, the earliest first.
SELECT @order_columns@
  FROM orders o
 WHERE o.id = coalesce(
           (SELECT n.id FROM orders n WHERE n.id = $1),
           (SELECT a.order_id FROM order_aliases a WHERE a.alias = $1)
       )
   AND ($2::text[] IS NULL OR o.channel = ANY ($2))
   AND ($3::bool IS NULL OR o.is_test = $3)
