-- What is known of the keys that private fields are sealed with.
SELECT kind, key_id, check_value, first_seen_at, in_use_since, retired_at
  FROM sealing_keys
 ORDER BY kind, key_id
