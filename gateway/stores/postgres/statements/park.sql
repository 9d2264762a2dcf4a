-- Park one message that cannot be stored, sealed, with its reason. A message that is sent again
-- keeps its first row, whose id is returned.
WITH existing AS (
    SELECT id FROM parked
     WHERE source = $2 AND source_key = $3 AND reason = 'poison' AND resolved_at IS NULL
     LIMIT 1
), inserted AS (
    INSERT INTO parked (
        id, source, source_key, order_id, reason, detail, body, received_at, account, order_no
    )
    SELECT $1, $2, $3, NULL, 'poison', $4, $5, $6, $2, $7
     WHERE NOT EXISTS (SELECT FROM existing)
    RETURNING id
)
SELECT id FROM inserted UNION ALL SELECT id FROM existing
