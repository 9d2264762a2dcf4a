-- Store rejected callbacks. One that is stored already was written by a call whose reply was lost.
INSERT INTO refused_callbacks
       (id, provider, account, reason, hint, received_at, bytes, message)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                     $6::timestamptz[], $7::integer[], $8::bytea[])
    ON CONFLICT (id) DO NOTHING
