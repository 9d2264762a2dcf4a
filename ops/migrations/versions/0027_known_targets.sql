-- What each target wants, and when a worker last had it in its settings: a relay whose worker does
-- not know it tells it all the same.
ALTER TABLE targets ADD COLUMN wanted jsonb, ADD COLUMN known_at timestamptz;
