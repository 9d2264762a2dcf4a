-- What is known of the keys that private fields are sealed with: never a key, only a value that
-- is derived from one and tells whether a key ring has the same. Who starts with another ring is
-- turned away. Filled by the first process that starts.

CREATE TABLE sealing_keys (
    kind          text        NOT NULL CHECK (kind IN ('seal', 'blind_index')),
    -- As in the key ring and in each envelope; of blind index keys, which have no id: 1, 2, …
    key_id        integer     NOT NULL CHECK (key_id > 0),
    check_value   bytea       NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    -- When the first process started that seals with it; null: nothing is sealed with it yet.
    in_use_since  timestamptz,
    -- From when on a key ring may be without it.
    retired_at    timestamptz,
    PRIMARY KEY (kind, key_id)
);

-- A phone has one index, or it could not be found.
CREATE UNIQUE INDEX sealing_keys_one_blind_index ON sealing_keys (kind)
    WHERE kind = 'blind_index' AND retired_at IS NULL;
