-- Record keys that were not known. A key that another transaction records at the same moment stays
-- as that one has it: waits for its end, and the caller looks again. Rows in one order, or two
-- callers could deadlock.
INSERT INTO sealing_keys (kind, key_id, check_value, in_use_since)
SELECT kind, key_id, check_value, CASE WHEN is_in_use THEN now() END
  FROM unnest($1::text[], $2::integer[], $3::bytea[], $4::boolean[])
           AS t (kind, key_id, check_value, is_in_use)
 ORDER BY kind, key_id
    ON CONFLICT DO NOTHING
