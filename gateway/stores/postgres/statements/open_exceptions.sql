-- Open cases, or open those again whose cause or resolution had ended: that is a relapse. Returns
-- each with whether it is one. A case that is open stays as it is, and is not returned.
WITH input AS (
    SELECT * FROM json_populate_recordset(null::exceptions, $1::json)
)
INSERT INTO exceptions AS e (
    id, kind, source, source_key, reason, detail, order_id, order_no, channel, owner, opened_at,
    due_at, relapses
)
SELECT id, kind, source, source_key, reason, detail, order_id, order_no, channel, owner, opened_at,
       due_at, 0
  FROM input
    ON CONFLICT (source, source_key) DO UPDATE
   SET opened_at = excluded.opened_at, due_at = excluded.due_at, detail = excluded.detail,
       relapses = e.relapses + 1, escalated_at = NULL, resolved_at = NULL, ended_at = NULL,
       owner = CASE WHEN e.owner = '' THEN excluded.owner ELSE e.owner END
 WHERE e.ended_at IS NOT NULL OR (e.source = 'person' AND e.resolved_at IS NOT NULL)
RETURNING id, relapses > 0 AS is_relapse
