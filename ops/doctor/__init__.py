"""The checks of `tidegate doctor`: each module returns findings and changes nothing.

- `findings`: one result of a check, its severity and the advice
- `machine`: Python, packages, limits of this machine
- `secrets`: the key ring and the provider accounts
- `postgres`: the primary: version, durability, schema, connections, audit chain
- `replicas`: whether each follows that primary, and its lag
- `redis_server`: version and latency
- `journal_server`: durability settings, memory used, entries waiting
- `rounds`: all of them in order
"""
