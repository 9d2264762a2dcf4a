-- A parked row with what it was told by: the event's own source and key in the history, and the
-- message, sealed. An event that waited has its id as key in `parked`. The parts of one message
-- differ in the last 16 bits of their ids: see `gateway/domain/messages.py`.
SELECT p.id, p.reason, coalesce(p.detail, '') AS detail,
       coalesce(nullif(p.account, ''), p.source) AS source,
       coalesce(nullif(p.order_no, ''), o.order_no, '') AS order_no, p.transaction_no, p.order_id,
       p.received_at, p.assignee, p.resolved_at, p.resolved_by, p.resolution, p.replays,
       p.replayed_at,
       p.source AS parked_source, p.source_key AS parked_key, p.body AS parked_body,
       e.source AS event_source, e.source_key AS event_key, m.id AS message_id, m.body AS message
  FROM (
           SELECT *,
                  CASE WHEN source_key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                       THEN source_key::uuid
                  END AS waited_id
             FROM parked
            WHERE id = $1
       ) p
       LEFT JOIN orders o ON o.id = p.order_id
       LEFT JOIN LATERAL (
           SELECT q.id, q.source, q.source_key FROM order_events q
            WHERE q.source = p.source AND q.source_key = p.source_key AND q.source <> 'waiting'
           UNION ALL
           SELECT q.id, q.source, q.source_key FROM order_events q
            WHERE q.order_id IS NULL AND q.id = p.waited_id AND q.source <> 'waiting'
           UNION ALL
           SELECT q.id, q.source, q.source_key FROM order_events q
            WHERE q.order_id = p.order_id AND q.id = p.waited_id AND q.source <> 'waiting'
            LIMIT 1
       ) e ON true
       LEFT JOIN LATERAL (
           SELECT q.id, q.body FROM raw_messages q
            WHERE q.id BETWEEN (left(e.id::text, 32) || '0000')::uuid
                           AND (left(e.id::text, 32) || 'ffff')::uuid
            ORDER BY q.id
            LIMIT 1
       ) m ON true
