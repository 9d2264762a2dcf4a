"""What the tests of the embedded servers share."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from ops.embedded.cluster import Servers
from tests.support.patience import HANG_S


class RecordingReporter:
    """A reporter that collects the lines in ``lines``."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, text: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def new_directory() -> Path:
    # Not tmp_path: pytest's own directories are closed to the user the servers run as under root.
    directory = Path(tempfile.mkdtemp(prefix="embedded-test-"))
    directory.chmod(0o711)
    return directory


def query(url: str, *statements: str) -> Any:
    """The value of the last statement."""

    async def ask() -> Any:
        connection = await asyncpg.connect(url, timeout=HANG_S)
        try:
            for statement in statements:
                value = await connection.fetchval(statement)
        finally:
            await connection.close()
        return value

    return asyncio.run(ask())


def eventually(check: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + HANG_S
    while not check():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def new_table(servers: Servers) -> str:
    """The name of a new table with one committed row, which the replica has."""
    name = f"stored_{time.monotonic_ns()}"
    query(servers.database_url, f"CREATE TABLE {name} AS SELECT 1 AS row")
    assert eventually(lambda: has_table(servers.replica_url, name))
    return name


def has_table(url: str, name: str) -> bool:
    return query(url, f"SELECT to_regclass('{name}')") is not None


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
