-- Forget that these orders ($1) wait for the word of these targets ($2): it has come.
DELETE FROM awaiting_acceptance a
 USING unnest($1::uuid[], $2::text[]) AS i (order_id, target)
 WHERE a.order_id = i.order_id AND a.target = i.target
