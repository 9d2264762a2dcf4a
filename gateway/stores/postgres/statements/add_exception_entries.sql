-- Write into the journal of cases. `message` is sealed, and null where nobody wrote anything.
INSERT INTO exception_entries (id, exception_id, at, actor, entry, note, message)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bytea[]
)
