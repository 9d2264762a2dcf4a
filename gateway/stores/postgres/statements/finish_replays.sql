-- Write what replays came to into their parked rows, which are locked. $1: JSON, a row each.
UPDATE parked p
   SET replays = p.replays + 1,
       replayed_at = now(),
       reason = v.reason,
       detail = v.detail,
       order_id = coalesce(v.order_id, p.order_id),
       order_no = coalesce(nullif(v.order_no, ''), p.order_no),
       transaction_no = coalesce(nullif(v.transaction_no, ''), p.transaction_no),
       resolved_at = CASE WHEN v.is_resolved THEN coalesce(p.resolved_at, now()) END,
       resolved_by = CASE WHEN v.is_resolved THEN v.actor END,
       resolution = CASE WHEN v.is_resolved THEN v.resolution END,
       is_replayed = v.is_resolved
  FROM json_to_recordset($1::json) AS v (
           id uuid, is_resolved boolean, actor text, resolution text, reason text, detail text,
           order_id uuid, order_no text, transaction_no text
       )
 WHERE p.id = v.id
