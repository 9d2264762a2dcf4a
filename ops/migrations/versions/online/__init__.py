"""Indexes built before their revision; see `ops.migrations.online`."""
