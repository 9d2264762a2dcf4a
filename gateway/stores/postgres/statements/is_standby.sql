-- Whether this server is a standby and cannot write.
SELECT pg_is_in_recovery()
