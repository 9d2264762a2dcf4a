-- A page of payments by id, which says when they arrived: after $1, before $2.
SELECT id, order_id FROM payments WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3
