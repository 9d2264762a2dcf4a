-- The flushed position (LSN) of this primary's log, and its timeline. Fails on a standby.
SELECT pg_current_wal_flush_lsn()::text,
       ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int
