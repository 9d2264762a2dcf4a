-- The orders that changed after position $1 of the change feed, each once, by its first change
-- there, in its state now; of these channels ($2; null: any) and of this kind ($3; null: any).
-- At most $4 orders, out of at most $5 changes. Run with a custom plan.
--
-- Every row has `reached`, the position up to which nothing was left out, and whether that is the
-- end of what this server has. Where no order is to be told there is one row, without an order.
WITH changes AS MATERIALIZED (
    SELECT c.position, c.order_id FROM order_changes c
     WHERE c.position > $1 ORDER BY c.position LIMIT $5
), firsts AS (
    SELECT c.order_id, min(c.position) AS position FROM changes c GROUP BY c.order_id
), visible AS MATERIALIZED (
    SELECT f.order_id, f.position
      FROM firsts f
           JOIN orders o ON o.id = f.order_id
     WHERE ($2::text[] IS NULL OR o.channel = ANY ($2))
       AND ($3::bool IS NULL OR o.is_test = $3)
     ORDER BY f.position
     LIMIT $4::int + 1
), told AS (
    -- One more than asked for: the changes up to the one before it are told.
    SELECT CASE WHEN count(*) > $4 THEN max(v.position) - 1 END AS cut FROM visible v
), reached AS (
    SELECT coalesce(t.cut, (SELECT max(c.position) FROM changes c), $1::bigint) AS reached,
           t.cut IS NULL AND (SELECT count(*) FROM changes) < $5 AS is_last
      FROM told t
)
SELECT r.reached, r.is_last, @order_columns@
  FROM reached r
       LEFT JOIN (visible v JOIN orders o ON o.id = v.order_id) ON v.position <= r.reached
 ORDER BY v.position
