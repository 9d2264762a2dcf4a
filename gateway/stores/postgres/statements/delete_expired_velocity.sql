-- Delete velocity counts whose last order has left the window, at most $1 at a time.
DELETE FROM velocity
 WHERE same_goods = ANY (ARRAY(
           SELECT same_goods FROM velocity
            WHERE recent[cardinality(recent)] < now() - interval '6 minutes'
            LIMIT $1 FOR UPDATE SKIP LOCKED
       ))
