-- Note that rules still fire, as this worker sees it, in what a channel was told or is to be told of
-- them. Not more often than each third second.
UPDATE alerts
   SET firing_at = $3
 WHERE channel = $1 AND rule = ANY ($2::text[]) AND state = 'firing'
   AND (firing_at IS NULL OR firing_at < $3::timestamptz - interval '3 seconds')
