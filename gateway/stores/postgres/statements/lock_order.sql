-- Lock one order by its id, else by an alias of it, if it is of these channels and of this kind,
-- test or live (null: of any).
SELECT o.id, o.channel, o.order_no, o.status, o.version, o.hold, o.private
  FROM orders o
 WHERE o.id = coalesce(
           (SELECT n.id FROM orders n WHERE n.id = $1),
           (SELECT a.order_id FROM order_aliases a WHERE a.alias = $1)
       )
   AND ($2::text[] IS NULL OR o.channel = ANY ($2))
   AND ($3::bool IS NULL OR o.is_test = $3)
   FOR UPDATE OF o
