-- The ids of the orders that have a number, or have it as an alias, in any of the channels $2; a
-- number that is a uuid ($3) is an order's id as well.
SELECT id FROM orders WHERE channel = ANY ($2::text[]) AND order_no = $1
UNION
SELECT order_id FROM order_no_aliases WHERE order_no = $1
UNION
SELECT $3::uuid WHERE $3::uuid IS NOT NULL
