-- Forget what waits for targets that accept no orders any more: those that are not among $1. Only
-- what is older than $2 seconds: a worker with newer settings may know them.
DELETE FROM awaiting_acceptance w
 WHERE (w.order_id, w.target) IN (
           SELECT a.order_id, a.target FROM awaiting_acceptance a
            WHERE a.target <> ALL ($1::text[]) AND a.since < now() - make_interval(secs => $2)
            LIMIT $3
       )
