-- What actions were answered, by their (source, source_key).
SELECT a.source, a.source_key, a.order_id, a.digest, a.status, a.version, a.hold,
       a.refusal
  FROM unnest($1::text[], $2::text[]) AS k (source, source_key)
  JOIN action_answers a ON a.source = k.source AND a.source_key = k.source_key
