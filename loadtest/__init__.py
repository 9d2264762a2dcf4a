"""Load from outside: the benchmarks and their baselines, the demo, and the Locust scenarios.

Nothing here imports the gateway: what is measured is what a sender on the network sees.
Gateways are started through ``ops.harness``, and providers are played by ``ops.simulators``.
"""
