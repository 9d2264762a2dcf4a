"""The fault matrix: the real system under load, one fault after the other, and a verdict on each.

Usage: ``python -m tests.torture --help``.
"""
