-- A page of findings that were true when they were last looked at, behind ($1, $2).
SELECT kind, subject, order_id
  FROM scan_findings
 WHERE ended_at IS NULL AND (kind, subject) > ($1::text, $2::uuid)
 ORDER BY kind, subject
 LIMIT $3
