-- Writers of the audit log take turns: the chain must not fork. Released at commit.
SELECT pg_advisory_xact_lock(hashtext('tidegate audit_log'))
