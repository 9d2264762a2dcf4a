-- Whether this server is a standby, and the latest timeline that it is known to follow. A role
-- that may not see the receiver (pg_read_all_stats may) sees the timeline of the last restart
-- point, which is never later than the actual one.
SELECT pg_is_in_recovery(),
       greatest(
           (SELECT received_tli FROM pg_stat_wal_receiver),
           (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
           (SELECT timeline_id FROM pg_control_checkpoint())
       )
