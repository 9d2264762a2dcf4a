-- The approval that was asked for under an Idempotency-Key.
SELECT * FROM approvals WHERE request_key = $1
