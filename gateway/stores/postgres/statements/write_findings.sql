-- Note what was found on a business day ($7). What was found before and not ended since keeps the
-- day on which it was found first. Returns each kind, and whether it is new.
INSERT INTO scan_findings AS f (
    kind, subject, order_id, channel, order_no, detail, found_on, seen_on, seen_at
)
SELECT kind, subject, order_id, channel, order_no, detail, $7::date, $7::date, now()
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[])
       AS i (kind, subject, order_id, channel, order_no, detail)
 ORDER BY kind, subject
    ON CONFLICT (kind, subject) DO UPDATE
   SET detail = excluded.detail, order_id = excluded.order_id, channel = excluded.channel,
       order_no = excluded.order_no, seen_on = excluded.seen_on, seen_at = now(),
       found_on = CASE WHEN f.ended_at IS NULL THEN f.found_on ELSE excluded.found_on END,
       ended_at = NULL
RETURNING kind, subject, found_on = seen_on AS is_new
