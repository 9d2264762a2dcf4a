-- The whole chain, for verification.
SELECT id, at, actor, action, subject, detail, hash FROM audit_log ORDER BY id
