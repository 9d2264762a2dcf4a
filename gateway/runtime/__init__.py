"""Machinery that does not know of orders: settings, clock, ids, batching, logs, metrics."""
