-- Delete a fingerprint whose order was never stored (its placement lost a race for the order
-- number). Called with the row locked, so that no placement is using it. Returns a row if one was
-- deleted.
DELETE FROM fingerprints f
 WHERE f.lookalike = $1
   AND NOT EXISTS (SELECT FROM orders o WHERE o.id = f.order_id)
RETURNING f.order_id
