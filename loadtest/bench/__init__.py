"""``make bench``: the gateway beside a bare HTTP server and beside a plain team's service.

``__main__`` reads the options and sets the exit status, ``plan`` holds the order of the run,
``contenders`` defines how each service starts, ``servers`` starts PostgreSQL and Valkey.
``closed_loop`` (with ``wrk``) and ``open_loop`` (with ``open_loop_generator``, a process of its
own, and its ``connection``) take the figures; ``cpu``, ``processes`` and ``databases`` serve them.
``acknowledgements`` checks the promise behind every 2xx, ``verdict`` compares with floors and
aims, ``report`` prints.
"""
