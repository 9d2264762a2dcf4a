-- Whether this very row is in the audit log. It holds what people did: it is small.
SELECT EXISTS (SELECT FROM audit_log WHERE actor = $1 AND action = $2 AND subject = $3 AND detail = $4)
