"""Hands events on into a stream of Redis or Valkey.

What waits while one round trip is under way goes with the next: under load hundreds of entries
share one, and one entry alone waits for nobody. An entry may be there twice, when its
acknowledgement was lost: its ``event_id`` is the same. What the server does to keep it (its
``appendfsync``, its replicas) is the server's.
"""

import asyncio
import re
from collections import deque

import redis.exceptions
from msgspec import Struct

from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.stores.redis.cluster_client import FAILURES, ClusterClient

#: Entries of one round trip. More of them would only make the first ones wait.
_ENTRIES_MAX = 256
_CODE = re.compile(r"[A-Z]{2,20}(?= |$)")

#: By class, the narrower ones first.
_REASONS: list[tuple[type[BaseException], str]] = [
    (asyncio.TimeoutError, "the server did not answer in time"),
    (redis.exceptions.TimeoutError, "the server did not answer in time"),
    (redis.exceptions.AuthenticationError, "the server wants the user and password of the url"),
    (redis.exceptions.BusyLoadingError, "the server is loading its data"),
    (redis.exceptions.ConnectionError, "the server cannot be reached, or closed the connection"),
    (OSError, "the server cannot be reached, or closed the connection"),
    (redis.exceptions.OutOfMemoryError, "the server's memory is full"),
    (redis.exceptions.ReadOnlyError, "the server is a replica: give the url of its primary"),
    (redis.exceptions.NoPermissionError, "the user of the url may not INFO, or not XADD there"),
    (redis.exceptions.MovedError, "the stream has moved to another node"),
    (redis.exceptions.AskError, "the stream is moving to another node"),
    (redis.exceptions.ClusterError, "no node of the cluster has the stream"),
]
_CODE_REASONS = {
    "MISCONF": "the server cannot write its file",
    "WRONGTYPE": "the key of the stream holds something else",
}


class _Waiting(Struct):
    call: list[bytes | str | int]
    result: "asyncio.Future[SendResult]"


class OrderStream:
    """Sends to one stream. ``close`` it; until the first message nothing is connected.

    No command is ever sent twice by itself.
    """

    def __init__(self, *, url: str, stream: str, length_max: int, call_s: float) -> None:
        """``length_max``: entries kept, about; the oldest are dropped, read or not. 0: all."""
        self._stream = stream.encode()
        self._begin: list[bytes | str | int] = ["XADD", self._stream]
        if length_max:
            self._begin += ["MAXLEN", "~", length_max]
        self._call_s = call_s
        self._nodes = ClusterClient(url=url, call_s=call_s)
        self._waiting: deque[_Waiting] = deque()
        self._in_flight: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def send(self, message: OutboundMessage) -> SendResult:
        """Append one entry, within ``call_s`` and the round trip that is under way."""
        fields: dict[str, str | int | bytes] = {
            "event_id": str(message.event_id),
            "topic": message.topic,
            "order_id": str(message.order_id),
            "order_no": message.order_no,
            "version": message.version,
            "body": message.body,
        }
        call = [*self._begin, "*"]
        for name, value in fields.items():
            call += [name, value]
        entry = _Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="append to a stream")
        return await entry.result

    async def close(self) -> None:
        """Abandon what is being sent: those calls fail."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        # Here and not in the task: one that was cancelled before it began never runs.
        left = [*self._in_flight, *self._waiting]
        _settle(left, [SendResult("failed", reason="the worker is closing")] * len(left))
        await self._nodes.close()

    async def _write(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), _ENTRIES_MAX)
                self._in_flight = [self._waiting.popleft() for _ in range(count)]
                try:
                    results = await self._append(self._in_flight)
                except Exception as exc:  # a fault of ours: theirs to report, and the rest goes on
                    for each in self._in_flight:
                        if not each.result.done():
                            each.result.set_exception(exc)
                else:
                    _settle(self._in_flight, results)
        finally:
            self._writing = None

    async def _append(self, batch: list[_Waiting]) -> list[SendResult]:
        try:
            async with asyncio.timeout(self._call_s):
                replies = await self._nodes.call_all(self._stream, [each.call for each in batch])
        except FAILURES as exc:
            return [SendResult("failed", reason=_reason(exc))] * len(batch)
        return [
            SendResult("failed", reason=_reason(reply))
            if isinstance(reply, Exception)
            else SendResult("delivered")
            for reply in replies
        ]


def _settle(batch: list[_Waiting], results: list[SendResult]) -> None:
    for each, result in zip(batch, results, strict=True):
        # A caller that left has no use for it.
        if not each.result.done():
            each.result.set_result(result)


def _reason(exc: BaseException) -> str:
    """Say why, without the server's own words, which may repeat what was sent."""
    for kind, reason in _REASONS:
        if isinstance(exc, kind):
            return reason
    found = _CODE.match(str(exc))
    code = found[0] if found else type(exc).__name__
    return _CODE_REASONS.get(code, f"the server refused the entry ({code})")
