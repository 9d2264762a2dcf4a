-- What each submission met: an order with its request id, with its (channel, order_no), or
-- behind a live fingerprint. `n` is the position in the arrays; a row a find.
WITH input AS MATERIALIZED (
    SELECT *
      FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bytea[])
           AS t (n, channel, order_no, request_id, lookalike)
)
SELECT i.n, 'by_request_id' AS how, o.id, o.channel, o.order_no, o.payload_digest, o.status,
       o.version, o.placed_hold, o.lookalike, o.request_id
  FROM input i JOIN orders o ON o.channel = i.channel AND o.request_id = i.request_id
UNION ALL
SELECT i.n, 'by_order_no', o.id, o.channel, o.order_no, o.payload_digest, o.status,
       o.version, o.placed_hold, o.lookalike, o.request_id
  FROM input i JOIN orders o ON o.channel = i.channel AND o.order_no = i.order_no
UNION ALL
SELECT i.n, 'by_lookalike', o.id, o.channel, o.order_no, o.payload_digest, o.status,
       o.version, o.placed_hold, o.lookalike, o.request_id
  FROM input i
  JOIN fingerprints f ON f.lookalike = i.lookalike AND f.expires_at > now()
  JOIN orders o ON o.id = f.order_id
