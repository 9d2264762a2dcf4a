-- Purge fingerprints whose window is over, a bounded number at a time.
DELETE FROM fingerprints
 WHERE lookalike = ANY (ARRAY(
           SELECT lookalike FROM fingerprints WHERE expires_at < now() - interval '1 minute'
            LIMIT $1 FOR UPDATE SKIP LOCKED
       ))
