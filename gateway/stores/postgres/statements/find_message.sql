-- Return the message that an event or an order came with. ($1, $2): its source and source_key in
-- the history, or in `parked`. An event that waited has its id as key there, which is $3 (or null).
-- The parts of one message differ in the last 16 bits of their ids, and the message has the id of
-- one of them: see `gateway/domain/messages.py`.
WITH part AS (
    SELECT id
      FROM (
               SELECT 1 AS n, id FROM order_events WHERE id = $3
               UNION ALL
               SELECT 2, id FROM order_events WHERE source = $1 AND source_key = $2
           ) found
     ORDER BY n
     LIMIT 1
)
SELECT m.id, m.body
  FROM part p
  JOIN raw_messages m
       ON m.id BETWEEN (left(p.id::text, 32) || '0000')::uuid
                   AND (left(p.id::text, 32) || 'ffff')::uuid
 ORDER BY m.id
 LIMIT 1
