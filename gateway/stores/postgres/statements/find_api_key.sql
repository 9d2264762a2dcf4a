-- The bearer of a live key.
SELECT id, name, roles, channels FROM api_keys WHERE digest = $1 AND revoked_at IS NULL
