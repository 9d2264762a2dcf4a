-- Whether this replica has replayed the log up to a position (LSN).
SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn
