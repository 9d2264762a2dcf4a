-- A page of held orders, by the index of them: behind ($1, $2, $3); $1 null: the first page.
SELECT id, hold, placed_at
  FROM orders
 WHERE hold IS NOT NULL
   AND ($1::text IS NULL OR hold > $1 OR (hold = $1 AND (placed_at, id) < ($2, $3::uuid)))
 ORDER BY hold, placed_at DESC, id DESC
 LIMIT $4
