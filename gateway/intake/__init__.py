"""The one way in: accept, recognise repeats, commit in groups."""
