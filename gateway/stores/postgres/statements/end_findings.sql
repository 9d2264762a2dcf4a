-- Findings that are true no more. Returns how many.
WITH ended AS (
    UPDATE scan_findings f
       SET ended_at = now()
      FROM unnest($1::text[], $2::uuid[]) AS i (kind, subject)
     WHERE f.kind = i.kind AND f.subject = i.subject AND f.ended_at IS NULL
    RETURNING 1
)
SELECT count(*) FROM ended
