-- What actions were answered, by the key of their event: a repeat gets the same answer, and another
-- request under the same Idempotency-Key none.
CREATE TABLE action_answers (
    source     text NOT NULL,
    source_key text NOT NULL,
    order_id   uuid NOT NULL,
    digest     text NOT NULL,
    status     text NOT NULL,
    version    integer NOT NULL,
    hold       text,
    PRIMARY KEY (source, source_key)
);

-- What changed of an address, before and after: sealed. `id` is that of the event.
CREATE TABLE address_changes (
    id         uuid PRIMARY KEY,
    order_id   uuid NOT NULL,
    change     bytea NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX address_changes_order ON address_changes (order_id);

-- Actions that take two people. `body` is the request, sealed. `digest` is of what was asked: asked
-- again while it is pending, it is the same one.
CREATE TABLE approvals (
    id              uuid PRIMARY KEY,
    action          text NOT NULL,
    order_id        uuid NOT NULL,
    channel         text NOT NULL,
    order_no        text NOT NULL,
    is_test         boolean NOT NULL,
    body            bytea NOT NULL,
    digest          text NOT NULL,
    -- The Idempotency-Key, with the key that sent it.
    request_key     text UNIQUE,
    -- What If-Match asked for.
    version         integer,
    reason          text NOT NULL,
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    -- `approved`: its action is being done; `failed`: it was not possible any more.
    state           text NOT NULL DEFAULT 'pending' CHECK (
        state IN ('pending', 'approved', 'applied', 'failed', 'rejected')
    ),
    decided_by      text,
    decided_at      timestamptz,
    -- Why it was rejected, or why it failed.
    decision_reason text
);
CREATE INDEX approvals_order ON approvals (order_id);
CREATE INDEX approvals_pending ON approvals (expires_at) WHERE state = 'pending';
