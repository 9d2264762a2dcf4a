"""Plain submissions, from their bytes to a batch in one call."""
