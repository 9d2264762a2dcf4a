"""Records rejected callbacks for diagnosis, without delaying the others.

Anyone may post to the address of an account, so storage is bounded three times: callbacks a
minute for each account and reason, callbacks waiting to be written, and rows in all (the
housekeeper deletes the oldest). Beyond that they are counted only.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol
from uuid import UUID

from gateway.domain.errors import Rejected, Unavailable
from gateway.domain.rejected_callbacks import RejectedCallback
from gateway.intake.metrics import REJECTED_CALLBACKS_UNSTORED
from gateway.runtime import lifecycle
from gateway.runtime.live import Limits, Live

_log = logging.getLogger(__name__)

_WAITING_MAX = 200
_ROUND_S = 1.0
_HEADERS_MAX = 64
_HEADER_CHARS_MAX = 2048
#: The rest of a larger body is not stored: 200 of them may wait to be written.
_BODY_BYTES_MAX = 64 * 1024


class Store(Protocol):
    """Where rejected callbacks are stored."""

    async def add(self, rows: Sequence[RejectedCallback]) -> None:
        """Store them. Raises ``Unavailable``; adding the same again is harmless then."""
        ...


class RejectedCallbackRecorder:
    """Takes rejected callbacks without waiting, and writes them once a second.

    Of each account and reason, ``refused_minute_max`` of the limits are stored a minute.
    """

    def __init__(self, *, store: Store, new_id: Callable[[], UUID], limits: Live[Limits]) -> None:
        self._store = store
        self._new_id = new_id
        self._limits = limits
        self._minute: datetime | None = None
        # By account and reason: both from closed lists, so this is small.
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._waiting: list[RejectedCallback] = []

    def record(
        self,
        provider: str,
        account: str,
        rejected: Rejected,
        *,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        at: datetime,
    ) -> None:
        """Queue it to be stored, within the bounds; headers and body beyond theirs are cut off."""
        minute = at.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        key = provider, account, rejected.reason
        self._counts[key] += 1
        if self._counts[key] > self._limits.now.refused_minute_max:
            REJECTED_CALLBACKS_UNSTORED.labels("minute").inc()
            return
        if len(self._waiting) >= _WAITING_MAX:
            REJECTED_CALLBACKS_UNSTORED.labels("waiting").inc()
            return
        cut = [(_plain(name), _plain(value)) for name, value in islice(headers, _HEADERS_MAX)]
        self._waiting.append(
            RejectedCallback(
                self._new_id(),
                provider,
                account,
                rejected.reason,
                _plain(rejected.hint),
                at,
                cut,
                body[:_BODY_BYTES_MAX],
            )
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Write once a second until ``stopping`` is set, and then what is left."""
        while not stopping.is_set():
            await lifecycle.pause(stopping, _ROUND_S)
            await self.write()
        await self.write()

    async def write(self) -> None:
        """Write what waits. What Postgres does not take now waits for the next call."""
        if not self._waiting:
            return
        rows = list(self._waiting)
        try:
            await self._store.add(rows)
        except Unavailable as exc:
            _log.warning("rejected callbacks wait to be stored", extra={"reason": str(exc)})
            return
        except Exception as exc:
            # What strangers send must never end this task, and the process with it.
            _log.error("rejected callbacks were not stored", extra={"error": type(exc).__name__})
            await self._write_each(rows)
        # Only this removes, and `record` appends.
        del self._waiting[: len(rows)]

    async def _write_each(self, rows: Sequence[RejectedCallback]) -> None:
        """Write the rows one by one: one that cannot be stored must not keep others out."""
        for row in rows:
            try:
                await self._store.add([row])
            except Exception:
                REJECTED_CALLBACKS_UNSTORED.labels("unstorable").inc()


def _plain(text: str) -> str:
    """Return text that UTF-8 and PostgreSQL can hold, within the bound.

    Bytes of a header that are not UTF-8 arrive as lone surrogates.
    """
    encoded = text[:_HEADER_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
    return encoded.replace("\x00", "\\x00")[:_HEADER_CHARS_MAX]
