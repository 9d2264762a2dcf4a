"""Machinery that never heard of an order: settings, clock, ids, batching, logs, metrics."""
