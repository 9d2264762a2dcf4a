"""``make bench``: the gateway beside a bare HTTP server and beside a plain team's service.

What stands where: ``__main__`` reads the options and sets the exit status, ``plan`` holds
the order of the run, ``contenders`` says how each service starts, ``servers`` brings
PostgreSQL and Valkey, ``closed`` (with ``wrk``) and ``opened`` (with ``openloop``, a process
of its own) take the figures, ``cpu`` and ``processes`` read and run processes, ``verdict``
compares with the floors and ``report`` prints.
"""
