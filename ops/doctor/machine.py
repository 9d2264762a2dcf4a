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
#: Descriptors of a process apart from client connections: pools, Redis, logs, sockets.
_NOFILE_OTHER = 100
_FREE_BYTES_MIN = 500 * 1024 * 1024


def python() -> Finding:
    """Check the version of Python and of the most important packages."""
    found, missing = [f"Python {platform.python_version()}"], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    detail = ", ".join(found)
    if sys.version_info < _PYTHON_MIN:
        return fail("python", detail, "install Python 3.11 or newer")
    if missing:
        return fail(
            "python",
            f"{detail}; missing: {', '.join(missing)}",
            "pip install --require-hashes -r requirements.lock",
        )
    return ok("python", detail)


def settings(loaded: Settings, environ: Mapping[str, str]) -> Finding:
    """Report where the settings come from, and variables that nothing reads."""
    lines = effective.lines(loaded, environ)
    count = {
        source: sum(line.source == source for line in lines) for source in ("environment", "file")
    }
    path = effective.config_file(environ)
    detail = f"{count['environment']} from the environment, " + (
        f"{count['file']} from {path}" if path else "no tidegate.toml"
    )
    if unknown := effective.unknown_variables(environ):
        return warn(
            "settings",
            f"{detail}; not a setting: {', '.join(unknown)}",
            "correct the name or unset it; `tidegate config` lists the settings",
        )
    return ok("settings", detail)


def descriptors(connections_max: int) -> Finding:
    """Check how many files and sockets a process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"a process may have {soft} open files and sockets"
    wanted = connections_max + _NOFILE_OTHER
    advice = f"raise it to {wanted} or more: `ulimit -n`, or LimitNOFILE= in the unit file"
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ok("descriptors", detail)
    if soft < _NOFILE_MIN:
        return fail("descriptors", detail, advice)
    return warn("descriptors", f"{detail}, connections_max is {connections_max}", advice)


def disk(directory: Path) -> Finding:
    """Check the free disk space of the key ring and, with `tidegate up`, of the servers' data."""
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    detail = f"{free / 2**30:.1f} GiB free at {directory.resolve()}"
    if free < _FREE_BYTES_MIN:
        return warn("disk", detail, "free some space there")
    return ok("disk", detail)
