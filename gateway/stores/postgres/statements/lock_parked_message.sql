-- Whoever sets the same message aside takes turns: nothing unique tells a second row from a
-- first. Released at commit.
SELECT pg_advisory_xact_lock(hashtextextended('tidegate parked ' || $1::text || ' ' || $2::text, 0))
