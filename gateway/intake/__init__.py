"""The one way in: accept, recognise repeats, group commit, and the journal as the fallback."""
