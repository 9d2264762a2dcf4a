-- Await the word of targets on orders that they are told are paid: by rows of the outbox, given as
-- arrays. An order that is told so again, because a hold ended, waits from then on. Sorted, so that
-- statements cannot deadlock.
INSERT INTO awaiting_acceptance AS a (order_id, target, event_id, position, version, since)
SELECT order_id, target, event_id, position, version, since
  FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::int[], $6::timestamptz[])
       AS i (order_id, target, event_id, position, version, since)
 ORDER BY order_id, target
    ON CONFLICT (order_id, target) DO UPDATE
   SET event_id = excluded.event_id, position = excluded.position, version = excluded.version,
       since = excluded.since
 WHERE a.position < excluded.position
