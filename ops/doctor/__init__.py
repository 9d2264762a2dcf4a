"""What `tidegate doctor` looks at; each module gives findings and changes nothing.

- `findings`: what a check found, how bad it is and what to do
- `machine`: Python, packages, clock-free limits of this machine
- `secrets`: the key ring and the provider accounts
- `postgres`: the primary: version, durability, schema, room, audit chain
- `replicas`: whether each follows that primary, and how closely
- `redis_server`: version and latency
- `journal_server`: whether it would keep its word, how full it is, what waits in it
- `rounds`: all of them in order
"""
