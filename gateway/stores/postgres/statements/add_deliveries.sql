-- Add deliveries, a JSON array of rows, due now. One that must wait for an earlier one of its order
-- and target is looked at in $2 seconds, unless that one's end makes it due before.
--
-- What an urgent one waits for is as urgent: or, while much waits, what is looked at first would be
-- what nothing can be done about. A row that is locked is being ended; of many the first are enough.
WITH input AS MATERIALIZED (
    SELECT u.*,
           row_number() OVER (PARTITION BY u.target, u.order_id ORDER BY u.position) AS n,
           min(u.priority) OVER (
               PARTITION BY u.target, u.order_id ORDER BY u.position
               ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
           ) AS urgency
      FROM json_populate_recordset(null::deliveries, $1::json) AS u
), earlier AS MATERIALIZED (
    SELECT i.target, i.order_id, i.urgency, e.event_id, e.priority
      FROM input i
           CROSS JOIN LATERAL (
               SELECT d.event_id, d.priority FROM deliveries d
                WHERE d.target = i.target AND d.order_id = i.order_id AND d.dead_at IS NULL
                ORDER BY d.position
                LIMIT 16
           ) e
     WHERE i.n = 1
), urged AS (
    UPDATE deliveries d
       SET priority = l.urgency
      FROM (
               SELECT q.target, q.event_id, e.urgency
                 FROM earlier e
                      JOIN deliveries q ON q.target = e.target AND q.event_id = e.event_id
                WHERE e.priority > e.urgency
                  FOR UPDATE OF q SKIP LOCKED
           ) l
           -- The array: by index also in a generic plan that was made while the table was empty.
     WHERE d.target = l.target AND d.event_id = l.event_id
       AND d.event_id = ANY (ARRAY(SELECT event_id FROM earlier WHERE priority > urgency))
)
INSERT INTO deliveries (
    target, event_id, position, order_id, version, topic, priority, occurred_at, due_at
)
SELECT i.target, i.event_id, i.position, i.order_id, i.version, i.topic, i.urgency, i.occurred_at,
       CASE WHEN i.n > 1 OR EXISTS (
                     SELECT FROM earlier e WHERE e.target = i.target AND e.order_id = i.order_id
                 )
            THEN now() + $2 * interval '1 second'
            ELSE now()
       END
  FROM input i
    ON CONFLICT (target, event_id) DO NOTHING
