-- Add deliveries, a JSON array of rows, due now. One that must wait for an earlier one of its order
-- and target is looked at in $2 seconds, unless that one's end makes it due before.
INSERT INTO deliveries (
    target, event_id, position, order_id, version, topic, priority, occurred_at, due_at
)
SELECT i.target, i.event_id, i.position, i.order_id, i.version, i.topic, i.priority, i.occurred_at,
       CASE WHEN i.n > 1 OR EXISTS (
                     SELECT FROM deliveries e
                      WHERE e.target = i.target AND e.order_id = i.order_id AND e.dead_at IS NULL
                 )
            THEN now() + $2 * interval '1 second'
            ELSE now()
       END
  FROM (
           SELECT u.*,
                  row_number() OVER (PARTITION BY u.target, u.order_id ORDER BY u.position) AS n
             FROM json_populate_recordset(null::deliveries, $1::json) AS u
       ) i
    ON CONFLICT (target, event_id) DO NOTHING
