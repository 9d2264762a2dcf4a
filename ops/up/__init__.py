"""`tidegate up`: everything on one machine, from one command.

run         the order in which things start, are watched and stop
children    the gateway, the worker and the one-off commands, as processes
restarts    when to restart a process, and when to stop everything
local_key   the API key that is made at the first start
greeting    what is printed once everything runs
"""

from ops.up.run import run_up

__all__ = ["run_up"]
