"""The services under measurement as child processes: start, wait until ready, stop."""

import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from loadtest.errors import translated
from ops.embedded import processes
from ops.embedded.processes import Service
from ops.harness import command_line, environment, listen_address
from ops.harness.gateway_process import Services, wait_ready
from ops.harness.ports import free_port

_READY_WITHIN_S = 30.0
_STOP_WITHIN_S = 15.0
#: Where the kernel groups processes by session, a child in one of its own would get CPU apart from
#: the load generator: its figures could not be compared with those published so far.
_OWN_SESSION = False


class Running(NamedTuple):
    """A service that is ready."""

    pid: int
    port: int


@contextmanager
def serving(
    module: str, arguments: Sequence[str], variables: Mapping[str, str], log: Path
) -> Iterator[Running]:
    """Run ``python -m module ... --port P`` until the block ends; yield when it is ready.

    Raises ``CannotRun`` with the end of its log when it dies or is not ready in time.
    """
    port = free_port()
    listen = ("--host", "127.0.0.1", "--port", str(port))
    with translated(), Services(stop_timeout_s=_STOP_WITHIN_S) as services:
        service = services.add(_start(module, (*arguments, *listen), variables, log))
        wait_ready(listen_address.loopback(port), [service], timeout_s=_READY_WITHIN_S)
        yield Running(service.pid, port)


@contextmanager
def working(
    module: str, arguments: Sequence[str], variables: Mapping[str, str], log: Path
) -> Iterator[int]:
    """Run ``python -m module ...``, which listens nowhere, until the block ends; yield its pid."""
    with translated(), Services(stop_timeout_s=_STOP_WITHIN_S) as services:
        yield services.add(_start(module, arguments, variables, log)).pid


def run(module: str, arguments: Sequence[str], variables: Mapping[str, str]) -> str:
    """Run ``python -m module ...`` to its end and return what it printed."""
    with translated():
        return processes.run(
            command_line.python_module(module, *arguments),
            environment={**environment.without_settings(), **variables},
            # A load generator's run has no upper bound.
            timeout_s=math.inf,
            own_session=_OWN_SESSION,
        )


def tidegate(variables: Mapping[str, str]) -> Callable[..., str]:
    """Return what runs ``tidegate ARGUMENTS`` with these variables and returns the output."""
    return lambda *arguments: run("ops.cli", arguments, variables)


def _start(
    module: str, arguments: Sequence[str], variables: Mapping[str, str], log: Path
) -> Service:
    return processes.start(
        module,
        command_line.python_module(module, *arguments),
        log=log,
        environment={**environment.without_settings(), **variables},
        death_signal=signal.SIGTERM,
        own_session=_OWN_SESSION,
    )
