-- From now on a key ring may be without this key. A key that was never recorded gets a row.
INSERT INTO sealing_keys AS k (kind, key_id, check_value, retired_at)
VALUES ($1, $2, '', now())
    ON CONFLICT (kind, key_id) DO UPDATE SET retired_at = coalesce(k.retired_at, now())
