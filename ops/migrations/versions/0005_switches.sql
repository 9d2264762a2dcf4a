-- What operators said of features and tiers. A handful of rows, read by every process each second;
-- who said what before is in the audit log.

CREATE TABLE switches (
    target    text        NOT NULL,
    -- Waits for a second person: beside the one that stands, if there is one.
    is_asked  boolean     NOT NULL,
    word      text        NOT NULL CHECK (word IN ('shed', 'admit', 'early')),
    reason    text        NOT NULL,
    actor     text        NOT NULL,
    second    text        CHECK (second <> actor),
    for_s     double precision NOT NULL CHECK (for_s > 0 AND for_s <= 14400),
    set_at    timestamptz NOT NULL,
    -- By the database's clock: no gateway's own can stretch it.
    until     timestamptz NOT NULL CHECK (until <= set_at + interval '4 hours'),
    PRIMARY KEY (target, is_asked)
);

-- What was said beforehand, for a sale: each step of each plan begins and ends by itself.
CREATE TABLE planned (
    plan      text        NOT NULL,
    target    text        NOT NULL,
    word      text        NOT NULL CHECK (word IN ('shed', 'admit', 'early')),
    reason    text        NOT NULL,
    actor     text        NOT NULL,
    from_at   timestamptz NOT NULL,
    until     timestamptz NOT NULL CHECK (until > from_at AND until <= from_at + interval '4 hours'),
    PRIMARY KEY (plan, target, from_at)
);
