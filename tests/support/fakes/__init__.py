"""Stores and clocks in memory, in place of those that need a server or time.

Each store passes the suite that the real one passes: ``tests/stores/contracts``.
"""
