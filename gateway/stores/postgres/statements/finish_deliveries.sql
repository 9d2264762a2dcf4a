-- End attempts on target $1 by process $2: the deliveries $3 are over; $4 failed and are due again
-- after $5 seconds, or dead where $6 says so, for the reasons $7. The rest is the log, a row for
-- each attempt. Failures count only while the process still has the claim.
--
-- Returns how many deliveries are due now that waited for one of these.
WITH gone AS (
    DELETE FROM deliveries WHERE target = $1 AND event_id = ANY ($3) RETURNING order_id, position
), failed AS (
    UPDATE deliveries d
       SET attempts = d.attempts + 1, claimed_by = NULL, reason = i.reason,
           due_at = now() + i.after_s * interval '1 second',
           dead_at = CASE WHEN i.is_dead THEN now() END
      FROM unnest($4::uuid[], $5::float8[], $6::bool[], $7::text[])
               AS i (event_id, after_s, is_dead, reason)
     WHERE d.target = $1 AND d.event_id = i.event_id AND d.event_id = ANY ($4)
       AND d.claimed_by = $2 AND d.dead_at IS NULL
    RETURNING d.order_id, d.position, d.dead_at
), ended AS (
    SELECT order_id, position FROM gone
     UNION ALL
    SELECT order_id, position FROM failed WHERE dead_at IS NOT NULL
), behind AS MATERIALIZED (
    SELECT n.event_id
      FROM ended e
           CROSS JOIN LATERAL (
               SELECT d.event_id FROM deliveries d
                WHERE d.target = $1 AND d.order_id = e.order_id AND d.dead_at IS NULL
                  AND d.position > e.position
                ORDER BY d.position
                LIMIT 1
           ) n
), freed AS (
    UPDATE deliveries
       SET due_at = now()
     WHERE target = $1 AND event_id = ANY (ARRAY(SELECT event_id FROM behind))
       AND event_id <> ALL ($3) AND event_id <> ALL ($4) AND due_at > now()
       AND claimed_by IS NULL
    RETURNING 1
), logged AS (
    INSERT INTO delivery_attempts (
        target, event_id, order_id, topic, version, attempt, started_at, took_ms, outcome,
        status_code, reason
    )
    SELECT $1, i.*
      FROM unnest(
               $8::uuid[], $9::uuid[], $10::text[], $11::int[], $12::int[], $13::timestamptz[],
               $14::int[], $15::text[], $16::smallint[], $17::text[]
           ) AS i
)
SELECT count(*) FROM freed
