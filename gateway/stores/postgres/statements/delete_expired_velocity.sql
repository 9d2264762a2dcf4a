-- Purge buyers whose last order of the same goods left the window, a bounded number at a time.
DELETE FROM velocity
 WHERE same_goods = ANY (ARRAY(
           SELECT same_goods FROM velocity
            WHERE recent[cardinality(recent)] < now() - interval '6 minutes'
            LIMIT $1 FOR UPDATE SKIP LOCKED
       ))
