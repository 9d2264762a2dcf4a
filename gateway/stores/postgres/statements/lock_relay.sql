-- Be the only relay until this transaction ends; false: another one is.
SELECT pg_try_advisory_xact_lock(714220251130)
