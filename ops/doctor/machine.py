"""Python, its packages, and what this machine lets a process have."""

import importlib.metadata
import platform
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.runtime.settings import Settings
from ops import effective
from ops.doctor.findings import Finding, fail, ok, warn

_PYTHON_MIN = (3, 11)
_PACKAGES = ("aiohttp", "asyncpg", "cryptography", "msgspec", "orjson", "redis", "uvloop")
_NOFILE_MIN = 1024
#: Descriptors of a process beside its client connections: pools, Redis, logs, sockets.
_NOFILE_OTHER = 100
_FREE_BYTES_MIN = 500 * 1024 * 1024


def python() -> Finding:
    """Look at the version of Python and of the packages that matter most."""
    found, missing = [f"Python {platform.python_version()}"], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    told = ", ".join(found)
    if sys.version_info < _PYTHON_MIN:
        return fail("python", told, "install Python 3.11 or newer")
    if missing:
        return fail(
            "python",
            f"{told}; missing: {', '.join(missing)}",
            "pip install --require-hashes -r requirements.lock",
        )
    return ok("python", told)


def settings(loaded: Settings, environ: Mapping[str, str]) -> Finding:
    """Say where the settings come from, and name variables that nothing reads."""
    lines = effective.lines(loaded, environ)
    count = {
        source: sum(line.source == source for line in lines) for source in ("environment", "file")
    }
    path = effective.config_file(environ)
    told = f"{count['environment']} from the environment, " + (
        f"{count['file']} from {path}" if path else "no tidegate.toml"
    )
    if unknown := effective.unknown_variables(environ):
        return warn(
            "settings",
            f"{told}; not a setting: {', '.join(unknown)}",
            "correct the name or unset it; `tidegate config` lists the settings",
        )
    return ok("settings", told)


def descriptors(connections_max: int) -> Finding:
    """Look at how many files and sockets a process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = f"a process may have {soft} open files and sockets"
    wanted = connections_max + _NOFILE_OTHER
    advice = f"raise it to {wanted} or more: `ulimit -n`, or LimitNOFILE= in the unit file"
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ok("descriptors", told)
    if soft < _NOFILE_MIN:
        return fail("descriptors", told, advice)
    return warn("descriptors", f"{told}, connections_max is {connections_max}", advice)


def disk(directory: Path) -> Finding:
    """Look at the room where the key ring and, with `tidegate up`, the servers' data are."""
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    told = f"{free / 2**30:.1f} GiB free at {directory.resolve()}"
    if free < _FREE_BYTES_MIN:
        return warn("disk", told, "free some space there")
    return ok("disk", told)
