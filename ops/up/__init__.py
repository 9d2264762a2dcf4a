"""`tidegate up`: everything on one machine, from one command.

run           the order in which things start, are watched and stop
surroundings  what the user's shell has set: servers of their own, or a sourced STATE/env
children      the gateway, the worker, the warehouse and the one-off commands, as processes
warehouse     whether a warehouse for demonstration runs, and the settings that name it
schema        whether the database of an earlier run needs a migration
restarts      when to restart a process, and when to stop everything
local_key     the API key that is made at the first start
greeting      what is printed once everything runs
"""

from ops.up.run import run_up

__all__ = ["run_up"]
