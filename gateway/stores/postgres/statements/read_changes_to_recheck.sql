-- The changes after a position ($1) that were relayed more than $2 seconds ago, at most $3. They are
-- relayed in the order of their positions.
SELECT position, order_id, topic
  FROM order_changes
 WHERE position > $1 AND relayed_at < now() - make_interval(secs => $2)
 ORDER BY position
 LIMIT $3
