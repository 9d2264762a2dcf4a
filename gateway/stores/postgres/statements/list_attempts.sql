-- The attempts of an order's deliveries, the latest first.
SELECT target, event_id, order_id, topic, version, attempt, started_at, took_ms, outcome,
       status_code, reason
  FROM delivery_attempts
 WHERE order_id = $1
 ORDER BY started_at DESC, attempt DESC
 LIMIT $2
