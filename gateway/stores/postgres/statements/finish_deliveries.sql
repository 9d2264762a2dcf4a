-- End attempts on target $1 by process $2: a JSON array of the rows of the log ($3), and of what
-- failed ($4), due again after so many seconds, or dead where there are none. What did not fail is
-- over. Failures count only while the process still has the claim.
--
-- Returns how many deliveries are due now that waited for one of these.
WITH log AS MATERIALIZED (
    SELECT * FROM json_populate_recordset(null::delivery_attempts, $3::json)
), failures AS MATERIALIZED (
    SELECT * FROM json_to_recordset($4::json) AS i (event_id uuid, after_s float8, reason text)
), gone AS (
    DELETE FROM deliveries
     WHERE target = $1
       AND event_id = ANY (ARRAY(SELECT event_id FROM log WHERE outcome <> 'failed'))
    RETURNING order_id, position
), failed AS (
    UPDATE deliveries d
       SET attempts = d.attempts + 1, claimed_by = NULL, reason = i.reason,
           due_at = now() + coalesce(i.after_s, 0) * interval '1 second',
           dead_at = CASE WHEN i.after_s IS NULL THEN now() END
      FROM failures i
     WHERE d.target = $1 AND d.event_id = i.event_id
       AND d.event_id = ANY (ARRAY(SELECT event_id FROM failures))
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
    -- Also what is due already: a process that is judging it at this moment has it locked, and puts
    -- it off behind what ends here. Only who waits for the lock makes it due after that.
    UPDATE deliveries
       SET due_at = now()
     WHERE target = $1 AND event_id = ANY (ARRAY(SELECT event_id FROM behind))
       AND NOT EXISTS (SELECT FROM log l WHERE l.event_id = deliveries.event_id)
       AND claimed_by IS NULL
    RETURNING 1
), logged AS (
    INSERT INTO delivery_attempts (
        target, event_id, order_id, topic, version, attempt, started_at, took_ms, outcome,
        status_code, reason
    )
    SELECT $1, event_id, order_id, topic, version, attempt, started_at, took_ms, outcome,
           status_code, reason
      FROM log
)
SELECT count(*) FROM freed
