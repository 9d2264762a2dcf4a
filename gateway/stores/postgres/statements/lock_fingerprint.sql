-- Lock a fingerprint while one submission is judged; other transactions wait for it.
SELECT order_id FROM fingerprints WHERE lookalike = $1 FOR UPDATE
