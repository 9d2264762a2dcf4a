-- Exceptions: what needs a person, one row a cause, and the journal of what was done about it.

CREATE TABLE exceptions (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL,
    source       text NOT NULL,
    -- The cause's own: an order and its hold, a parked row, a delivery.
    source_key   text NOT NULL,
    reason       text NOT NULL,
    detail       text NOT NULL,
    order_id     uuid,
    order_no     text NOT NULL,
    channel      text NOT NULL,
    owner        text NOT NULL,
    opened_at    timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    escalated_at timestamptz,
    resolved_at  timestamptz,
    -- When the cause ended; a case can be resolved before that, and is then not opened again for it.
    ended_at     timestamptz,
    relapses     integer NOT NULL,
    UNIQUE (source, source_key)
);
CREATE INDEX exceptions_open ON exceptions (due_at, id) WHERE resolved_at IS NULL;
CREATE INDEX exceptions_resolved ON exceptions (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX exceptions_cause ON exceptions (source) WHERE ended_at IS NULL;
CREATE INDEX exceptions_order ON exceptions (order_no);

-- Append-only. `message` is what a person wrote, sealed; `note` has names and times.
CREATE TABLE exception_entries (
    id           uuid PRIMARY KEY,
    exception_id uuid NOT NULL,
    at           timestamptz NOT NULL,
    actor        text NOT NULL,
    entry        text NOT NULL,
    note         text NOT NULL,
    message      bytea
);
CREATE INDEX exception_entries_exception ON exception_entries (exception_id, at);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exception_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
