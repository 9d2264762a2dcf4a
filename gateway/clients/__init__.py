"""Outbound HTTP, and the only place for it."""
