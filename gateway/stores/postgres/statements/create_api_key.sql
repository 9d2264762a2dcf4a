-- Create a key; only the digest of its token is stored.
INSERT INTO api_keys (id, name, digest, roles, channels) VALUES ($1, $2, $3, $4, $5)
RETURNING id, name, roles, channels, created_at, revoked_at
