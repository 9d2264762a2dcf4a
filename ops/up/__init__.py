"""`tidegate up`: everything on one machine, from one command.

run         the order in which things start, are watched and stop
children    the gateway, the worker and the one-off commands, as processes
restarts    when to start something again, and when to give up
local_key   the ready-made API key
greeting    what is printed once everything runs
"""

from ops.up.run import run_up

__all__ = ["run_up"]
