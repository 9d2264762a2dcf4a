"""The fault matrix: the real system under load, one fault after the other, and a verdict on each.

``python -m tests.torture --help`` says how to run it.
"""
