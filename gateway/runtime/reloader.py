"""Reloads the configuration of a process on SIGHUP: all of it or nothing, and says which.

What is slow (files, keys) is done in a thread of its own, which touches nothing that is in use. It
may hang on a file; then that reload is refused, and the thread is left behind.
"""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from gateway.runtime import lifecycle, metrics
from gateway.runtime.clock import Clock
from gateway.runtime.hangup import Hangups
from gateway.runtime.reload_plan import Plan
from gateway.runtime.settings import SettingsError

_log = logging.getLogger(__name__)

#: Seconds between two looks whether a signal came.
_POLL_S = 0.1
#: Seconds that reading a configuration may take.
_READ_S = 10.0

T = TypeVar("T")


class Reloadable(Protocol[T]):
    """The configuration of a process."""

    def read(self) -> T:
        """Read and build it anew, in a thread; changes nothing. Raises ``SettingsError``."""
        ...

    def apply(self, read: T) -> Plan:
        """Put into force what was read, all of it; return what changed.

        Raises ``SettingsError``; then nothing has changed.
        """
        ...


class Reloader(Generic[T]):
    """Reloads one configuration as often as it is asked to, one reload after the other.

    Invariant: a reload that is refused, for whatever reason, has changed nothing. After the last
    SIGHUP there is a reload that began after it.
    """

    def __init__(
        self,
        *,
        hangups: Hangups,
        configuration: Reloadable[T],
        clock: Clock,
        read_s: float = _READ_S,
    ) -> None:
        self._hangups = hangups
        self._configuration = configuration
        self._clock = clock
        self._read_s = read_s
        for outcome in ("applied", "refused"):
            metrics.RELOADS.labels(outcome)
        metrics.RELOAD_OK.set(1)
        metrics.CONFIGURED_AT.set(clock.now().timestamp())

    async def run(self, stopping: asyncio.Event) -> None:
        """Reload on SIGHUP until ``stopping`` is set; set it when the terminal hangs up."""
        while not stopping.is_set():
            meaning = self._hangups.take(self._clock.monotonic_s())
            if meaning == "end":
                _log.warning("the terminal hung up", extra={"pid": os.getpid()})
                stopping.set()
            elif meaning == "reload":
                await self.reload(stopping)
            else:
                await lifecycle.pause(stopping, _POLL_S)

    async def reload(self, stopping: asyncio.Event) -> None:
        """Reload once, log the outcome and count it. Abandoned without one when ``stopping``."""
        began_at = self._clock.now().timestamp()
        try:
            read = await self._read(stopping)
            if read is None:
                return
            plan = self._configuration.apply(read)
        except SettingsError as exc:
            self._refuse(str(exc))
        except Exception as exc:
            # A mistake of ours, or a file that nobody thought of: the old configuration is good.
            self._refuse(f"{type(exc).__name__}: see the trace", exc)
        else:
            metrics.RELOADS.labels("applied").inc()
            metrics.RELOAD_OK.set(1)
            metrics.CONFIGURED_AT.set(began_at)
            _log_applied(plan)

    async def _read(self, stopping: asyncio.Event) -> T | None:
        """Return what was read; None: the process is asked to stop. Raises ``SettingsError``."""
        reading = _in_thread(self._configuration.read)
        stop = asyncio.ensure_future(stopping.wait())
        try:
            waited: set[asyncio.Future[Any]] = {reading, stop}
            await asyncio.wait(waited, timeout=self._read_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if reading.done():
            return reading.result()
        reading.cancel()
        if stopping.is_set():
            return None
        raise SettingsError(
            f"the configuration was not read within {self._read_s:g} s: does one of its files hang?"
        )

    @staticmethod
    def _refuse(reason: str, exc: Exception | None = None) -> None:
        metrics.RELOADS.labels("refused").inc()
        metrics.RELOAD_OK.set(0)
        _log.error("not reloaded", extra={"pid": os.getpid(), "reason": reason}, exc_info=exc)


def _log_applied(plan: Plan) -> None:
    fields: dict[str, object] = {"pid": os.getpid(), "changed": plan.text()}
    if plan.needs_restart:
        fields["needs_restart"] = ", ".join(plan.needs_restart)
    _log.log(logging.WARNING if plan.needs_restart else logging.INFO, "reloaded", extra=fields)


def _in_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """Run a call in a thread that does not keep the process from ending; return its result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, exc: Exception | None) -> None:
        if future.done():
            return
        if exc is None:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None itself
        else:
            future.set_exception(exc)

    def run() -> None:
        result: T | None = None
        error: Exception | None = None
        try:
            result = call()
        except Exception as exc:
            error = exc
        # The loop is closed where the process ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="reload", daemon=True).start()
    return future
