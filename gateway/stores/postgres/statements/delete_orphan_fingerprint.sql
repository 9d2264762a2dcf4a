-- Remove a fingerprint whose order was never stored (its placement lost a race for the order
-- number). Called with the row locked, so no placement can be half way through using it.
-- A row says that there was one.
DELETE FROM fingerprints f
 WHERE f.lookalike = $1
   AND NOT EXISTS (SELECT FROM orders o WHERE o.id = f.order_id)
RETURNING f.order_id
