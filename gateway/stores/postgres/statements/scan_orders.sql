-- A page of orders by id, which says when they arrived: after $1, before $2.
SELECT id FROM orders WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3
