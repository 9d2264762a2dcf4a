"""Listens for what gateways stage, and wakes the relay."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.runtime import lifecycle
from gateway.stores.postgres.outbox_signal import CHANNEL
from gateway.stores.postgres.read_limiter import Connection

_log = logging.getLogger(__name__)

#: Seconds between two looks whether the connection is still one: a server that went silent sends
#: no signal, and no error either.
_PROBE_EVERY_S = 5.0
_PROBE_S = 2.0
#: Seconds between two attempts to connect.
_PAUSE_S = 1.0


class OutboxListener:
    """Sets ``woken`` when something was staged. While it cannot listen, the relay polls."""

    def __init__(
        self, *, connect: Callable[[], Awaitable[Connection]], woken: asyncio.Event
    ) -> None:
        """``connect``: returns a connection of its own; raises the driver's errors."""
        self._connect = connect
        self._woken = woken

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until ``stopping`` is set; connect again whenever the connection is lost."""
        is_logged = False
        while not stopping.is_set():
            try:
                await self._listen(stopping)
                is_logged = False
            except Exception as exc:
                if not is_logged:
                    _log.warning(
                        "not listening to the outbox: it is polled",
                        extra={"reason": type(exc).__name__},
                    )
                is_logged = True
                await lifecycle.pause(stopping, _PAUSE_S)

    async def _listen(self, stopping: asyncio.Event) -> None:
        connection = await self._connect()
        try:
            await connection.add_listener(CHANNEL, self._wake)
            # What was staged while nobody listened.
            self._woken.set()
            while not stopping.is_set():
                await lifecycle.pause(stopping, _PROBE_EVERY_S)
                await connection.execute("SELECT 1", timeout=_PROBE_S)
        finally:
            connection.terminate()

    def _wake(self, *_: object) -> None:
        self._woken.set()
