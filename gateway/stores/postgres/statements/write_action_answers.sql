-- Keep what actions are answered, for their repeats: rows as a JSON array, sorted by their key.
INSERT INTO action_answers (
    source, source_key, order_id, digest, status, version, hold, refusal
)
SELECT source, source_key, order_id, digest, status, version, hold, refusal
  FROM json_populate_recordset(null::action_answers, $1::json)
    ON CONFLICT (source, source_key) DO NOTHING
