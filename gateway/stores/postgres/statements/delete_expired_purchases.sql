-- Delete counts of purchases whose window has ended, at most $1 at a time.
DELETE FROM purchases
 WHERE key = ANY (ARRAY(
           SELECT key FROM purchases
            WHERE expires_at < now() - interval '1 minute'
            LIMIT $1 FOR UPDATE SKIP LOCKED
       ))
