"""Committed results in Redis: a hit is always true, a miss means nothing."""
