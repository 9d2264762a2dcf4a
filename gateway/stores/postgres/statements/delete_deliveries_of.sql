-- Delete up to $2 deliveries of a target that was forgotten. What is locked is left.
DELETE FROM deliveries
 WHERE target = $1
   AND event_id = ANY (ARRAY(
           SELECT event_id FROM deliveries WHERE target = $1 LIMIT $2 FOR UPDATE SKIP LOCKED
       ))
   AND NOT EXISTS (SELECT FROM targets WHERE name = $1)
