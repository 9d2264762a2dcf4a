-- Create a key; only the digest of its token is stored.
INSERT INTO api_keys (id, name, digest, roles, channels, is_test)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, name, roles, channels, created_at, revoked_at, is_test
