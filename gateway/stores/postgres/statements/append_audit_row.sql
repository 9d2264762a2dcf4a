-- Add a row to the chain. Called under the audit lock.
INSERT INTO audit_log (id, at, actor, action, subject, detail, previous, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
