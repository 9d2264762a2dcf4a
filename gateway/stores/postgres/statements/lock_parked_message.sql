-- Serialise the parking of one message: no unique key prevents a second row. Released at commit.
SELECT pg_advisory_xact_lock(hashtextextended('tidegate parked ' || $1::text || ' ' || $2::text, 0))
