-- Make an order number another number of a stored order, with its line in the order's history and
-- the message that brought it. Returns whether events wait for that number; no row: it was taken
-- meanwhile. A number that an order took meanwhile is a unique violation of the history.
WITH given AS (
    INSERT INTO order_no_aliases (
        order_no, channel, is_test, order_id, payload_digest, request_id, received_at
    )
    VALUES ($1, $2, $3::bool, $4::uuid, $5::bytea, $6, $7::timestamptz)
        ON CONFLICT DO NOTHING
    RETURNING order_no, channel, is_test, order_id, received_at
), history AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, outcome, detail, trigger, occurred_at,
        received_at
    )
    SELECT $8::uuid, order_id, $9, order_no, 'order_no_added', 'applied', $10, $11,
           $12::timestamptz, received_at
      FROM given
), raw_stored AS (
    INSERT INTO raw_messages (id, source, body, received_at)
    SELECT $8::uuid, $9, $13::bytea, received_at FROM given
)
SELECT EXISTS (
           SELECT FROM waiting w
            WHERE w.order_no = g.order_no AND g.channel = ANY (w.channels)
              AND w.is_test = g.is_test
       )
  FROM given g
