"""The argv of Tidegate's own programs, as processes that run the code of this one."""

import shlex
import shutil
import sys
from pathlib import Path


def tidegate(*arguments: str) -> list[str]:
    """Return the argv of ``tidegate ARGUMENTS``."""
    return python_module("ops.cli", *arguments)


def as_typed() -> str:
    """Return how a person runs ``tidegate`` here: by its name where a shell finds it, else by path.

    `make run` calls it in an environment that is on nobody's PATH.
    """
    is_path_needed = Path(sys.argv[0]).name == "tidegate" and shutil.which("tidegate") is None
    return shlex.quote(sys.argv[0]) if is_path_needed else "tidegate"


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the argv of ``python -m MODULE ARGUMENTS``, for an environment of ``environment``."""
    # -P: a directory `ops` in the working directory must not shadow ours.
    return [sys.executable, "-P", "-m", module, *arguments]
