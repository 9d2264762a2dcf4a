"""The demo: orders with their payments, then the comparison of promises with what is stored.

``plan`` draws what is sent, ``drive`` sends it, ``report`` prints what ``verify`` has found.
"""
