-- Delete fingerprints whose window has ended, at most $1 at a time.
DELETE FROM fingerprints
 WHERE lookalike = ANY (ARRAY(
           SELECT lookalike FROM fingerprints WHERE expires_at < now() - interval '1 minute'
            LIMIT $1 FOR UPDATE SKIP LOCKED
       ))
