-- Replica lag: seconds of the log that this replica has yet to replay. 0 where all that was
-- received is replayed, however long ago the last transaction was.
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0)
       END::float8
