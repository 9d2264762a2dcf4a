-- Callbacks that were refused, for people to look at. Small and short-lived, so the key is all
-- the index there is: ids grow with time.

CREATE TABLE refused_callbacks (
    id          uuid        PRIMARY KEY,
    provider    text        NOT NULL,
    account     text        NOT NULL,
    reason      text        NOT NULL,
    hint        text        NOT NULL,
    received_at timestamptz NOT NULL,
    bytes       integer     NOT NULL,
    message     bytea       NOT NULL  -- headers and body, sealed
);

-- What is sealed can not be compressed.
ALTER TABLE refused_callbacks ALTER COLUMN message SET STORAGE EXTERNAL;
