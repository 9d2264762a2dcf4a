"""Load from outside: the benchmarks and their baselines, the demo, and the Locust scenarios.

Nothing here imports the gateway: the load tests measure what a client on the network sees.
Gateways are started through ``ops.harness``, and ``ops.simulators`` plays the providers.
"""
