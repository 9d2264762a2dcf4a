-- When the audit row of a step's beginning was written, and that of its end: once each, by whoever
-- sees it first, in the transaction that sets these. Nullable and without default, so that adding
-- them rewrites nothing; what is there already is told late, like what nobody saw.
ALTER TABLE planned
    ADD COLUMN begin_told_at timestamptz,
    ADD COLUMN end_told_at   timestamptz CHECK (end_told_at IS NULL OR begin_told_at IS NOT NULL);
