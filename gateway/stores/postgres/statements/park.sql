-- Set one message aside that cannot be stored, sealed, with its reason. A message that is
-- sent again keeps its first row, whose id is returned.
WITH known AS (
    SELECT id FROM parked
     WHERE source = $2 AND source_key = $3 AND reason = 'poison' AND resolved_at IS NULL
     LIMIT 1
), set_aside AS (
    INSERT INTO parked (id, source, source_key, order_id, reason, detail, body, received_at)
    SELECT $1, $2, $3, NULL, 'poison', $4, $5, $6
     WHERE NOT EXISTS (SELECT FROM known)
    RETURNING id
)
SELECT id FROM set_aside UNION ALL SELECT id FROM known
