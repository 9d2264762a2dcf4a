-- Lock the parked rows of replays in one order, with the events that they are notes about, as JSON
-- (null: none, or it waits no more). After the lock of the orders: what settles an event closes the
-- note about it under that lock.
SELECT p.id, p.reason, coalesce(p.detail, '') AS detail, p.transaction_no, p.replays,
       p.resolved_at IS NULL AS is_open, w.event AS waiting
  FROM unnest($1::uuid[], $2::uuid[]) AS i (parked_id, waiting_id)
  JOIN parked p ON p.id = i.parked_id
       LEFT JOIN LATERAL (
           SELECT row_to_json(q)::text AS event FROM waiting q WHERE q.id = i.waiting_id
       ) w ON true
 ORDER BY p.id
   FOR UPDATE OF p
