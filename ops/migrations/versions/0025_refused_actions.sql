-- Why an action was refused that was journaled before: its repeats are told so.
ALTER TABLE action_answers ADD COLUMN refusal text;
