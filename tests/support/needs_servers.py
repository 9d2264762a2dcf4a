"""The mark ``servers``: tests that start servers or other processes.

A test gets it from the fixtures that it requests, directly or not. A test that starts a process
without a fixture carries ``@pytest.mark.servers``; without the mark it fails, with a message that
says what to do.
"""

import sys
from collections.abc import Iterable

import pytest

#: The fixtures that start a process. All others start none, or request one of these.
STARTING_FIXTURES = frozenset(
    {
        "elsewhere",  # the second environment of tests/interop
        "front_kind",  # haproxy or nginx
        "kafka_broker",
        "state_dir",  # the servers of tests/ops/embedded
        "lossy",  # the lossy disk
        "module_cluster",
        "module_valkey",
        "servers",
        "up",  # `tidegate up`
    }
)
_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})


def mark(items: Iterable[pytest.Item]) -> None:
    """Each item that requests one of STARTING_FIXTURES carries the mark."""
    for item in items:
        if STARTING_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


class Guard:
    """Fails a test that starts a process without the mark.

    An audit hook sees every process but those of uvloop. It cannot be removed, so there is one for
    the session.
    """

    def __init__(self) -> None:
        self._is_on = False
        sys.addaudithook(self._on_event)

    def enter(self, item: pytest.Item) -> None:
        """This item runs from now on."""
        self._is_on = item.get_closest_marker("servers") is None

    def leave(self) -> None:
        """No test runs."""
        self._is_on = False

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_on and event in _EVENTS:
            pytest.fail(
                f"a test without the mark `servers` starts a process ({event} {arguments[:2]}): "
                "mark it, or name its fixture in tests/support/needs_servers.py"
            )
