-- Tasks of the night, one row for each business day: done once, by whoever claims it.
CREATE TABLE daily_runs (
    task         text NOT NULL,
    business_day date NOT NULL,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    -- Who does it, until when unless it says that it goes on.
    holder       uuid NOT NULL,
    held_until   timestamptz NOT NULL,
    -- How far it is, and what it came to.
    progress     jsonb,
    result       jsonb,
    PRIMARY KEY (task, business_day)
);

-- What a scan or a re-check found, as long as it is true: the cause of an exception.
CREATE TABLE scan_findings (
    kind     text NOT NULL,
    -- The order, payment or event.
    subject  uuid NOT NULL,
    order_id uuid,
    channel  text NOT NULL,
    order_no text NOT NULL,
    detail   text NOT NULL,
    found_on date NOT NULL,
    seen_on  date NOT NULL,
    seen_at  timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX scan_findings_open ON scan_findings (kind, subject) WHERE ended_at IS NULL;
