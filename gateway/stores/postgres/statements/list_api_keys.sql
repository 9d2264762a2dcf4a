-- Every key ever made, oldest first.
SELECT id, name, roles, channels, created_at, revoked_at, is_test
  FROM api_keys ORDER BY created_at, id
