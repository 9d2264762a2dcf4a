"""The subcommands of `tidegate`, one a file: each offers `command`. See `ops/cli.py`."""
