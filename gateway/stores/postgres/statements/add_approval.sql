-- Ask for an approval. Where the Idempotency-Key was used before, or the same is pending already:
-- that one. The body comes sealed.
WITH known AS (
    SELECT * FROM approvals WHERE request_key = $9
    UNION ALL
    SELECT *
      FROM approvals
     WHERE $9::text IS NULL AND order_id = $3 AND action = $2 AND digest = $8
       AND state = 'pending' AND expires_at > $13
     LIMIT 1
), added AS (
    INSERT INTO approvals (
        id, action, order_id, channel, order_no, is_test, body, digest, request_key, version,
        reason, requested_by, requested_at, expires_at
    )
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
     WHERE NOT EXISTS (SELECT FROM known)
        ON CONFLICT (request_key) DO NOTHING
    RETURNING *
)
SELECT * FROM added
UNION ALL
SELECT * FROM known
