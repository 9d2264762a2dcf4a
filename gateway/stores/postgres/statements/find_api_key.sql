-- The principal of a live key, by the digest of its token.
SELECT id, name, roles, channels, is_test FROM api_keys WHERE digest = $1 AND revoked_at IS NULL
