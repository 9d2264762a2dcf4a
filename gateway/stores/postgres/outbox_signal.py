"""Tells the relay that something was staged: a NOTIFY of its own, after the commit.

In the order's transaction it would end group commit: a notifying transaction holds a lock of the
whole cluster until it is on disk.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.stores.postgres.read_limiter import Connection

_log = logging.getLogger(__name__)

CHANNEL = "tidegate_outbox"
#: Seconds between two signals: what is staged meanwhile shares the next one.
_APART_S = 0.025
#: Seconds for one signal.
_SIGNAL_S = 2.0
#: Seconds without a signal after one that failed. The relay polls behind it.
_PAUSE_S = 2.0


class Signal(Protocol):
    """Who is told of each commit that may have staged something."""

    #: Whether anybody waits for it. Read first: while nobody does, it costs no call.
    is_on: bool

    def staged(self) -> None:
        """Return at once, and never raise."""
        ...


class Silence:
    """Nobody waits: the relay looks by itself."""

    is_on = False

    def staged(self) -> None:
        """Do nothing."""


class OutboxSignal:
    """Signals at once, and then at most every 25 ms. Who stages waits for nothing of it.

    A signal that cannot be given is dropped: the relay looks by itself once a second.
    """

    def __init__(self, *, connect: Callable[[], Awaitable[Connection]], is_on: bool) -> None:
        """``connect``: returns a connection of its own; raises the driver's errors.

        ``is_on``: whether anybody waits for what is staged.
        """
        self._connect = connect
        self.is_on = is_on
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_due = False

    def staged(self) -> None:
        """Signal soon that a transaction was committed. Returns at once, and never raises."""
        self._is_due = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="outbox signal")

    async def close(self) -> None:
        """Give no further signal, and drop the connection."""
        self.is_on = self._is_due = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._drop()

    async def _run(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                try:
                    async with asyncio.timeout(_SIGNAL_S):
                        await self._signal()
                    pause_s = _APART_S
                except Exception as exc:
                    _log.debug("no signal to the relay", extra={"reason": type(exc).__name__})
                    self._drop()
                    pause_s = _PAUSE_S
                await asyncio.sleep(pause_s)
        finally:
            self._task = None

    async def _signal(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        await self._connection.execute(f"NOTIFY {CHANNEL}")

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
