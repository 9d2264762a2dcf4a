"""Gateways and workers as child processes: wait until they are ready, stop them.

``ops.embedded.processes.start`` starts one, with an argv of ``command_line`` and an environment
of ``environment``.
"""

import signal
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ops.embedded import errors
from ops.embedded.processes import Service
from ops.harness.listen_address import ListenAddress

_POLL_INTERVAL_S = 0.02


class EndedEarly(Exception):
    """A service ended by itself while it was needed; the message ends with its log."""


def wait_ready(
    address: ListenAddress,
    services: Sequence[Service],
    *,
    timeout_s: float,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the first of the services answers /readyz with 200 and all of them run.

    ``pause`` waits between two polls, and may raise to abandon the wait.
    Raises ``errors.NotReady`` when one ends or after ``timeout_s``; none is stopped then.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        status, body = address.get("/readyz")
        for service in services:
            if service.exit_status is not None:
                raise errors.NotReady(
                    f"The {service.name} ended while starting (status {service.exit_status}). "
                    f"The end of {service.log}:\n{service.log_tail()}"
                )
        if status == 200:
            return
        if time.monotonic() > deadline_s:
            gateway = services[0]
            raise errors.NotReady(
                f"The {gateway.name} was not ready after {timeout_s:.0f} s: "
                f"{body or 'no answer'}. The end of {gateway.log}:\n{gateway.log_tail()}"
            )
        pause(_POLL_INTERVAL_S)


class Services:
    """Services that run during a block and have ended after it.

    They get SIGTERM in the order of their start, and SIGKILL after ``stop_timeout_s`` each. Leaving
    the block raises ``EndedEarly`` when one had ended by itself, unless the block raised an
    exception of its own.
    """

    def __init__(self, *, stop_timeout_s: float) -> None:
        self._stop_timeout_s = stop_timeout_s
        self._started: list[Service] = []

    def add(self, service: Service) -> Service:
        """Stop this running service at the end of the block; return it."""
        self._started.append(service)
        return service

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ended = [service for service in self._started if service.exit_status is not None]
        for service in self._started:
            service.stop(signal.SIGTERM, patience_s=self._stop_timeout_s)
        if error is None and ended:
            raise EndedEarly(
                f"The {ended[0].name} ended by itself (status {ended[0].exit_status}). "
                f"The end of {ended[0].log}:\n{ended[0].log_tail()}"
            )
