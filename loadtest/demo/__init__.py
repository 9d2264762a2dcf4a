"""The demo: orders with their payments from real providers' libraries, then the comparison.

``plan`` draws what is sent, ``drive`` sends it, ``report`` prints what ``verify`` has found.
"""
