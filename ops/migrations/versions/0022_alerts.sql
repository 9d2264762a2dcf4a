-- What each channel was told of each alert. A row is claimed before the message is sent and marked
-- after it was taken, so that several workers send one message, and one that dies loses none.
CREATE TABLE alerts (
    channel        text NOT NULL,
    rule           text NOT NULL,
    state          text NOT NULL CHECK (state IN ('firing', 'resolved')),
    value          double precision NOT NULL,
    changed_at     timestamptz NOT NULL,
    claimed_at     timestamptz NOT NULL,
    told_at        timestamptz,
    silenced_until timestamptz,
    PRIMARY KEY (channel, rule)
);
