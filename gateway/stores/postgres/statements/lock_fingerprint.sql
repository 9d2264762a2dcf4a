-- Hold the fingerprint still while one submission is judged. Whoever else wants it waits.
SELECT order_id FROM fingerprints WHERE lookalike = $1 FOR UPDATE
