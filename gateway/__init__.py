"""Tidegate's gateway: orders and payment callbacks, committed before the 2xx.

The path of an event, one folder a step:

1. ``web/``        bytes arrive; size and time are bounded
2. ``providers/``  a callback's signature is checked and its dialect decoded; an order is
                   decoded by the model in ``domain/orders.py``
3. ``intake/``     a repeat is recognised and answered from memory or Redis
4. ``stores/``     history, order, payment and outbox are committed in one transaction
                   shared by the whole batch
5. ``web/``        the sender gets the reply its protocol expects

Steps 2 to 4 are ``intake.accept``; there is no second way in. A plain submission is handed to it
straight from its bytes (``web/express.py``), everything else through a request (``web/server.py``).
``domain/`` says what is true of orders and money, without I/O and without a clock.
``runtime/`` is machinery that never heard of an order.
``wiring.py`` introduces the parts to each other.
"""
