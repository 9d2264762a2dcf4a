"""The argv of Tidegate's own programs, as processes that run the code of this one."""

import sys


def tidegate(*arguments: str) -> list[str]:
    """Return the argv of ``tidegate ARGUMENTS``."""
    return python_module("ops.cli", *arguments)


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the argv of ``python -m MODULE ARGUMENTS``, for an environment of ``environment``."""
    # -P: a directory `ops` in the working directory must not shadow ours.
    return [sys.executable, "-P", "-m", module, *arguments]
