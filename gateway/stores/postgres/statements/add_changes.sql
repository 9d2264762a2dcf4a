-- Append to the change feed a JSON array of rows, in the order of their `n`. Only the relay does: positions are drawn
-- in the order in which they become visible.
INSERT INTO order_changes (
    position, order_id, version, topic, event_id, changed_at, relayed_at
)
SELECT nextval('order_changes_position'), i.order_id, i.version, i.topic, i.event_id, i.changed_at,
       now()
  FROM (
           SELECT * FROM json_to_recordset($1::json) AS u (
                      n int, order_id uuid, version int, topic text, event_id uuid,
                      changed_at timestamptz
                  )
            ORDER BY u.n
       ) i
