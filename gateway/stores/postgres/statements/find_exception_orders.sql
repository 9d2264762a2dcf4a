-- The orders that a person may mean by a number or an id, at most two.
SELECT id, order_no, channel FROM orders
 WHERE (id = $1 OR order_no = $2) AND ($3::text IS NULL OR channel = $3) AND NOT is_test
 LIMIT 2
