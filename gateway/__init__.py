"""Tidegate's gateway: orders and payment callbacks, committed before the 2xx.

The path of an event, one folder per step (file by file: ``ops/guides/path-of-an-event.md``):

1. ``web/``        bytes arrive; size and time are bounded; the client is authenticated
2. ``overload/``   the request is admitted, or rejected on its first bytes
3. ``providers/``  a callback's signature is checked and its format decoded; an order is
                   decoded by the model in ``domain/orders.py``
4. ``intake/``     a repeat is recognised and answered from memory or Redis; the rest is batched
5. ``stores/``     history, order, payment and outbox are committed in one transaction
                   shared by the whole batch
6. ``web/``        the client gets the reply that its protocol expects

What was committed is handed on by ``workers/``: ``relay.py``, ``dispatcher.py``, ``lane.py``.

Steps 3 to 5 are ``intake/accept.py``; there is no second way in. A plain submission is handed to it
straight from its bytes (``web/fast_path/``), everything else through a request
(``web/dispatcher.py``). ``clients/`` is the only outbound HTTP. ``domain/`` has the rules of orders
and money, without I/O and without a clock. ``runtime/`` is machinery that knows no orders.
``wiring.py`` and ``web/wiring.py`` introduce the parts to each other.
"""
