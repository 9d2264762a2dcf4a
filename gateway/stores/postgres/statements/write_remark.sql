-- Write the private part of an order, locked by the caller, with another remark: its next version,
-- with the history, the raw message and the outbox row of the change. Private fields come sealed.
WITH history AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, from_status, to_status, outcome, trigger,
        occurred_at, received_at
    )
    VALUES ($4, $1, $5, $6, 'remark_changed', $7, $7, 'applied', $8, $9, $9)
), raw_stored AS (
    INSERT INTO raw_messages (id, source, body, received_at) VALUES ($4, $5, $10, $9)
), staged AS (
    INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
    VALUES ($11, $1, $2, 'order.remark_changed', 5, $9)
)
UPDATE orders SET private = $3, version = $2, updated_at = clock_timestamp() WHERE id = $1
