-- Write back a folded batch of follow-ups. Most parameters are JSON arrays of rows: a batch has
-- few rows of many kinds, and most kinds are empty. Ids and raw bytes come as arrays.
--
-- Returns how many events were new. Fewer than sent: another transaction recorded one of them
-- meanwhile, and the caller rolls back and folds again.
WITH events AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, from_status, to_status, outcome, reason, detail,
        trigger, occurred_at, received_at, actor, approved_by
    )
    SELECT id, order_id, source, source_key, action, from_status, to_status, outcome, reason,
           detail, trigger, occurred_at, received_at, actor, approved_by
      FROM json_populate_recordset(null::order_events, $1::json)
        ON CONFLICT (source, source_key) DO NOTHING
    RETURNING 1
), changes AS MATERIALIZED (
    SELECT * FROM json_populate_recordset(null::orders, $2::json)
), changed AS (
    UPDATE orders o
       SET status = c.status, version = c.version, hold = c.hold, paid = c.paid,
           refunded = c.refunded, paid_at = c.paid_at, shipped_at = c.shipped_at,
           completed_at = c.completed_at, closed_at = c.closed_at, carrier = c.carrier,
           tracking_no = c.tracking_no, released_at = c.released_at,
           closed_cause = c.closed_cause, pays_on_delivery = c.pays_on_delivery,
           is_delivered = c.is_delivered, held_at = c.held_at, reopened_at = c.reopened_at,
           accepted_at = c.accepted_at, acceptances = nullif(c.acceptances, '[]'),
           updated_at = now()
      FROM changes c
           -- The array: by index also in a generic plan that was made while the table was empty.
     WHERE o.id = c.id AND o.id = ANY (ARRAY(SELECT id FROM changes))
), paid AS (
    INSERT INTO payments AS p (
        id, provider, source, transaction_id, order_id, order_no, currency, amount, refunded,
        standing, paid_at, is_provisional
    )
    SELECT id, provider, source, transaction_id, order_id, order_no, currency, amount, refunded,
           standing, paid_at, is_provisional
      FROM json_populate_recordset(null::payments, $3::json)
        ON CONFLICT (id) DO UPDATE
       SET order_id = excluded.order_id, order_no = excluded.order_no,
           refunded = excluded.refunded, standing = excluded.standing,
           is_provisional = excluded.is_provisional
           -- A payment that has an order is changed under that order's lock only. One that was
           -- read before it had one, with no order locked, must not overwrite what it is now.
     WHERE p.order_id IS NULL OR p.order_id = excluded.order_id
), new_waiting AS (
    INSERT INTO waiting (
        id, provider, source, transaction_id, channels, order_no, event, trigger, received_at,
        is_test
    )
    SELECT id, provider, source, transaction_id, channels, order_no, event, trigger, received_at,
           is_test
      FROM json_populate_recordset(null::waiting, $4::json)
), settled AS (
    DELETE FROM waiting WHERE id = ANY ($5::uuid[]) RETURNING id, shown_at
), resolved AS (
    -- The note about an event that waited too long is resolved with it.
    UPDATE parked p
       SET resolved_at = now()
      FROM settled s
     WHERE s.shown_at IS NOT NULL AND p.source_key = s.id::text
       AND p.reason IN ('unknown_order', 'held', 'impossible_transition') AND p.resolved_at IS NULL
), tried AS (
    UPDATE waiting SET tried_at = now() WHERE id = ANY ($6::uuid[])
), staged AS (
    INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
    SELECT id, order_id, version, topic, priority, created_at
      FROM json_populate_recordset(null::outbox, $7::json)
), parked_rows AS (
    INSERT INTO parked (
        id, source, source_key, order_id, reason, detail, received_at, account, order_no,
        transaction_no
    )
    SELECT id, source, source_key, order_id, reason, detail, received_at, account, order_no,
           transaction_no
      FROM json_populate_recordset(null::parked, $8::json)
), named AS (
    INSERT INTO payment_names (provider, name, payment_id)
    SELECT provider, name, payment_id FROM json_populate_recordset(null::payment_names, $13::json)
        ON CONFLICT DO NOTHING
), refunds_told AS (
    INSERT INTO refunds (
        id, payment_id, refund_no, amount, is_total, is_failed, occurred_at, is_apart
    )
    SELECT id, payment_id, refund_no, amount, is_total, is_failed, occurred_at, is_apart
      FROM json_populate_recordset(null::refunds, $14::json)
), disputed AS (
    INSERT INTO disputes (
        id, payment_id, dispute_no, amount, state, reason, opened_at, changed_at, due_at
    )
    SELECT id, payment_id, dispute_no, amount, state, reason, opened_at, changed_at, due_at
      FROM json_populate_recordset(null::disputes, $15::json)
        ON CONFLICT (id) DO UPDATE
       SET amount = excluded.amount, state = excluded.state, reason = excluded.reason,
           opened_at = excluded.opened_at, changed_at = excluded.changed_at,
           due_at = excluded.due_at
), sent AS (
    INSERT INTO parcels (
        id, order_id, carrier, tracking_no, parcel_no, lines, shipped_at, delivered_at,
        cancelled_at
    )
    SELECT id, order_id, carrier, tracking_no, parcel_no, lines, shipped_at, delivered_at,
           cancelled_at
      FROM json_populate_recordset(null::parcels, $16::json)
        ON CONFLICT (id) DO UPDATE
       SET carrier = excluded.carrier, tracking_no = excluded.tracking_no,
           parcel_no = excluded.parcel_no, lines = excluded.lines,
           shipped_at = excluded.shipped_at, delivered_at = excluded.delivered_at,
           cancelled_at = excluded.cancelled_at
), raw_stored AS (
    INSERT INTO raw_messages (id, source, body, received_at)
    SELECT * FROM unnest($9::uuid[], $10::text[], $11::bytea[], $12::timestamptz[])
)
SELECT count(*) FROM events
