"""Adapters, one per provider: verify, decode and reply to callbacks, without I/O."""
