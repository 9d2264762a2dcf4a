-- Whether this server is a standby and can not write.
SELECT pg_is_in_recovery()
