"""Starts gateways and workers as child processes, for `tidegate up`, load tests and tests.

    ports             a free port, and whether a server accepts connections on one
    listen_address    where a gateway listens, and a plain GET to it
    command_line      argv of Tidegate's own programs
    environment       their environment variables
    accounts_file     provider accounts in tidegate.toml, and the files of their secrets
    first_start       sealing keys, migration and API key
    example_order     the order of the examples
    gateway_process   wait until /readyz answers 200, stop

What differs stays with its user: restarts in `ops.up` and `ops.supervisor`, CPU quotas in
`loadtest.overload`, kills and pauses in the tests. Nothing here imports the gateway.
"""
