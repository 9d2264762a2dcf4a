-- Whether an order exists in these channels (null: in any).
SELECT true FROM orders o WHERE o.id = $1 AND ($2::text[] IS NULL OR o.channel = ANY ($2))
