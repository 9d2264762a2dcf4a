-- Where to begin with the change feed to be told of all that was relayed at or after $1: the
-- position before the first such change; since when changes are kept; and whether that is since the
-- first order that there is. Nulls: there is no change yet.
--
-- Times grow with positions. There is no index by time: a position is found in thirty halvings.
WITH RECURSIVE kept AS MATERIALIZED (
    SELECT (SELECT c.position FROM order_changes c ORDER BY c.position LIMIT 1) AS first,
           (SELECT c.position FROM order_changes c ORDER BY c.position DESC LIMIT 1) AS last
), halves AS (
    -- What is at or below `low` was relayed before, and nothing that is above `high`.
    SELECT k.first - 1 AS low, k.last AS high FROM kept k WHERE k.first IS NOT NULL
     UNION ALL
    SELECT CASE WHEN n.relayed_at < $1 THEN n.position ELSE h.low END,
           CASE WHEN n.relayed_at < $1 THEN h.high ELSE h.middle END
      FROM (SELECT low, high, (low + high) / 2 AS middle FROM halves WHERE low < high) h
           CROSS JOIN LATERAL (
               SELECT c.position, c.relayed_at FROM order_changes c
                WHERE c.position > h.middle ORDER BY c.position LIMIT 1
           ) n
)
SELECT (SELECT min(h.high) FROM halves h) AS position,
       (SELECT c.relayed_at FROM order_changes c ORDER BY c.position LIMIT 1) AS kept_since,
       NOT EXISTS (SELECT FROM orders)
       OR EXISTS (
              SELECT FROM order_changes c
               WHERE c.order_id = (SELECT o.id FROM orders o ORDER BY o.id LIMIT 1)
                 AND c.version = 1
          )
       -- Or is about to be in it.
       OR EXISTS (
              SELECT FROM (SELECT * FROM outbox ORDER BY position LIMIT 1000) s
               WHERE s.order_id = (SELECT o.id FROM orders o ORDER BY o.id LIMIT 1)
                 AND s.version = 1
          ) AS is_whole
