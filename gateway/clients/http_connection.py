"""One connection to an HTTP/1.1 server: one request in flight, and nothing that was not asked."""

import asyncio
from typing import cast

from gateway.clients.call_failures import CallFailed, ConnectionGone
from gateway.clients.http_answer import Answer, AnswerReader


class Connection(asyncio.Protocol):
    """Sends a request and reads its answer.

    Invariant: after a failure, a cancelled caller, or bytes that no request asked for, it is
    closed, so that no answer is ever taken for another's.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._is_reusable = True
        self._until_s = 0.0
        #: When it was opened, and when it became idle, by the clock of the event loop.
        self.opened_s = asyncio.get_running_loop().time()
        self.idle_since_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        transport = self._transport
        return self._is_reusable and transport is not None and not transport.is_closing()

    async def exchange(self, request: bytes, answer_bytes_max: int, until_s: float) -> Answer:
        """Return the answer to a request. Raises ``CallFailed``; ``ConnectionGone`` without any.

        ``until_s``: the deadline, by the clock of the event loop, that ``expire`` holds it to.
        """
        if self._transport is None or not self.is_open:
            raise ConnectionGone("the server closed the connection without an answer")
        self._is_reusable = False
        self._until_s = until_s
        self._reader = AnswerReader(body_bytes_max=answer_bytes_max)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if not self._is_reusable:
                self.abort()

    def expire(self, now_s: float) -> None:
        """Let the request that is in flight fail with ``TimeoutError`` if its deadline is over."""
        if self._waiter is not None and now_s >= self._until_s and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def close(self) -> None:
        """Say goodbye, and close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is in flight."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer."""
        reader, waiter = self._reader, self._waiter
        if reader is None or waiter is None or waiter.done():
            self._is_reusable = False
            self.abort()
            return
        try:
            if reader.feed(data):
                self._answer(reader, waiter)
        except CallFailed as exc:
            waiter.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection, which may be that of the answer."""
        self._is_reusable = False
        reader, waiter = self._reader, self._waiter
        if reader is None or waiter is None or waiter.done():
            return
        try:
            # A connection that broke is no end of an answer whose length was not announced.
            if exc is not None and reader.is_until_close:
                raise CallFailed("the connection broke in the middle of the answer")
            if reader.end():
                self._answer(reader, waiter)
        except CallFailed as failure:
            waiter.set_exception(failure)

    def _answer(self, reader: AnswerReader, waiter: "asyncio.Future[Answer]") -> None:
        assert reader.answer is not None and self._transport is not None
        # A request that the server answered before it had read it is still being written.
        is_sent = self._transport.get_write_buffer_size() == 0
        self._is_reusable = reader.is_reusable and is_sent
        waiter.set_result(reader.answer)
