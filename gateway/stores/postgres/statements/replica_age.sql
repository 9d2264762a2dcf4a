-- The age in seconds of what this replica has: since the last transaction that it replayed, or,
-- where it replayed none since its start, since the checkpoint it started from.
SELECT extract(epoch FROM now() - coalesce(
           pg_last_xact_replay_timestamp(),
           (SELECT checkpoint_time FROM pg_control_checkpoint())
       ))::float8
