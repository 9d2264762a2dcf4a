"""Load from outside: the benchmark, its baselines, the demo and the Locust scenarios.

Nothing here imports the gateway: what is measured is what a sender on the network sees.
"""
