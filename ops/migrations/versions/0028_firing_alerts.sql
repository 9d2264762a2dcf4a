-- When a worker last said that a rule fires: until a while after that no other one takes it back.
ALTER TABLE alerts ADD COLUMN firing_at timestamptz;
