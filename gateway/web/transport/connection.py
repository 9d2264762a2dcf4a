"""The connection: aiohttp's protocol behind the gate."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, cast

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from gateway.domain.features import ORDER_SUBMISSION
from gateway.overload.admission import Slot
from gateway.web import metrics
from gateway.web.fast_path.handler import FastPath
from gateway.web.problems import plain
from gateway.web.response import CLOSE, Response, head_bytes, response_writer
from gateway.web.transport.early_rejection import Decision, EarlyRejection, RejectedRequest

if TYPE_CHECKING:
    from gateway.web.dispatcher import Dispatcher
    from gateway.web.transport.client_transport import ClientTransport

#: How long the rest of a body that was refused is read and thrown away.
LINGER_S = 1.0


class HttpConnection(RequestHandler):
    """aiohttp's protocol, behind the gate, with our shape of error for what no handler saw."""

    __slots__ = (
        "_behind", "_body_bytes", "_early_rejection", "_express", "_head", "_is_blurred",
        "_is_half_closed", "_is_taken", "_parsed", "_skip_bytes", "_slot", "_socket", "_write_s",
        "is_answered",
    )  # fmt: skip

    def __init__(
        self,
        server: "Dispatcher",
        *,
        early_rejection: EarlyRejection,
        express: FastPath | None,
        write_s: float,
        **options: Any,
    ) -> None:
        super().__init__(server, **options)
        self._early_rejection = early_rejection
        self._express = express
        self._write_s = write_s
        # A request is refused by its first bytes, so it must be known where one begins. What the
        # parser was given of a head, and what is still to come of a body; blurred: lost track, as
        # of a client that does not wait for its answers. Then the server decides, at more cost.
        self._head = b""
        self._body_bytes = 0
        self._is_blurred = False
        # How many requests were found where they begin.
        self._parsed = 0
        # What is still to come of the body of a request that was refused.
        self._skip_bytes = 0
        #: Whether the last request that was parsed has its answer, and may be followed.
        self.is_answered = False
        self._slot: Slot | None = None
        # Whether a request went the short way and has no answer yet, and what came behind it.
        self._is_taken = False
        self._behind = b""
        # Whether the client stopped sending meanwhile.
        self._is_half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection up."""
        self._socket = cast("ClientTransport", transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Refuse what can not be taken now; hand the rest to the short way or to the parser."""
        if self._is_taken:
            # Answers must come in order: what is behind waits, and its sender with it.
            self._behind += data
            if data and self.transport is not None:
                self.transport.pause_reading()
            return
        if self._skip_bytes:
            skipped, data = data[: self._skip_bytes], data[self._skip_bytes :]
            self._skip_bytes -= len(skipped)
            if not data:
                if not self._skip_bytes:
                    self._socket.rest()
                return
        if self._is_blurred or not data:
            RequestHandler.data_received(self, data)
        elif self._body_bytes:
            self._body_bytes -= len(data)
            self._is_blurred = self._body_bytes < 0
            RequestHandler.data_received(self, data)
        elif self._head or not self._is_between():
            self._parse(data)
        else:
            self.begin(data, self._early_rejection.decide(data))

    def begin(self, data: bytes, found: Decision) -> None:
        """Do with the request that begins with ``data`` as the gate decided."""
        if isinstance(found, Slot):
            if self._is_taken_by_express(data, found):
                return
            self._slot = found
        elif found is not None:
            data = self._turn_away_all(data, found)
        if data:
            self._parse(data)

    def _is_taken_by_express(self, data: bytes, slot: Slot) -> bool:
        if self._express is None or self._early_rejection.is_draining:
            return False
        assert self.transport is not None
        # Who does not read his answers goes the long way, which waits for him.
        if slot.feature is not ORDER_SUBMISSION or self.transport.get_write_buffer_size():
            return False
        # Before it is taken, for it may be answered at once.
        self._is_taken = True
        try:
            is_taken = self._express.take(data, slot, self)
        except BaseException:
            self._is_taken = False
            slot.leave()
            raise
        if not is_taken:
            self._is_taken = False
        return is_taken

    def answer(self, reply: Response, *, is_last: bool) -> None:
        """Answer the request that went the short way, then look at what came behind it."""
        self._is_taken = False
        behind, self._behind = self._behind, b""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        is_last = is_last or self._is_half_closed or self._early_rejection.is_draining
        try:
            transport.write(head_bytes(reply, CLOSE if is_last else "") + reply.body)
        except BaseException:
            transport.abort()
            raise
        if behind:
            transport.resume_reading()
        if is_last:
            self._end(transport, is_read_on=bool(behind))
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if behind:
            self.data_received(behind)
        else:
            self._socket.rest()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it
        """Keep the connection of a client that stopped sending until it has its answer."""
        if self._is_taken:
            self._is_half_closed = True
            return True
        super().eof_received()
        return None

    def _process_keepalive(self) -> None:
        if self._is_taken or self._socket.was_answered():
            # Not idle: its time begins with its answer, or with this look at it.
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def _turn_away_all(self, data: bytes, found: RejectedRequest | bytes) -> bytes:
        """Refuse the request that ``data`` begins with, and those behind it; return the rest."""
        while isinstance(found, RejectedRequest):
            self._turn_away(found.response)
            if found.closes:
                if self.transport is not None:
                    self._end(self.transport, is_read_on=True)
                return b""
            self._skip_bytes = max(0, found.request_bytes - len(data))
            data = data[found.request_bytes :]
            if not data:
                return b""
            following = self._early_rejection.decide(data)
            if not isinstance(following, RejectedRequest | bytes):
                self._slot = following
                return data
            found = following
        self._turn_away(found)
        self._socket.rest()
        return b""

    def _parse(self, data: bytes) -> None:
        """Hand a head, or a part of one, to the parser, and find out where the request ends."""
        # The parser skips empty lines before a request (RFC 9112, 2.2): they are of no head.
        self._head = (self._head + data if self._head else data).lstrip(b"\r\n")
        RequestHandler.data_received(self, data)
        if self._request_count == self._parsed:
            return
        self.is_answered = False
        self._parsed += 1
        head, self._head = self._head, b""
        end = head.find(b"\r\n\r\n")
        message = self._messages[-1][0] if self._messages else None
        if (
            end < 0
            # More than one, or one that the parser had kept back and found by itself.
            or self._request_count != self._parsed
            or not isinstance(message, RawRequestMessage)
            # Their ends are known to the parser alone.
            or message.chunked
            or message.upgrade
        ):
            self._is_blurred = True
            return
        body_bytes = int(message.headers.get(hdrs.CONTENT_LENGTH, 0))
        self._body_bytes = body_bytes - (len(head) - end - 4)
        if self._body_bytes < 0:
            self._body_bytes, self._is_blurred = 0, True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; what it held is free again."""
        if (slot := self.take_slot()) is not None:
            slot.leave()
        super().connection_lost(exc)

    def take_slot(self) -> Slot | None:
        """Return the slot of the request that was admitted here and is about to be handled."""
        slot, self._slot = self._slot, None
        return slot

    def _is_between(self) -> bool:
        """Say whether a request may begin now: none is read, waiting or being answered."""
        waiter = self._waiter
        if waiter is not None:
            return not waiter.done()
        # The task that waits for requests may not have run yet: before the first, and after an
        # answer, which a client may take and send its next one before we are given the CPU again.
        is_open = not self._force_close and not self._close
        return is_open and (not self._request_count or (self.is_answered and not self._messages))

    def _turn_away(self, answer: bytes) -> None:
        transport = self.transport
        assert transport is not None
        transport.write(answer)
        # It was not idle: its time to be closed begins anew.
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._paused:
            # It leaves more unread than a connection keeps (64 KiB).
            transport.abort()

    def _end(self, transport: asyncio.Transport, *, is_read_on: bool) -> None:
        """End the connection; but read on for a moment where its client may be still sending.

        A reset would take the answer away from it.
        """
        self.close()
        if not is_read_on:
            transport.close()
            return
        self._skip_bytes = sys.maxsize
        transport.write_eof()
        self._loop.call_later(LINGER_S, transport.close)

    async def start(self) -> None:
        """Answer the connection's requests, then see that it really ends."""
        transport = self.transport
        try:
            await super().start()
        finally:
            # Closing waits until the client has read what was written, and some never read.
            if transport is not None and transport.get_write_buffer_size():
                self._loop.call_later(self._write_s, transport.abort)

    def is_idle(self) -> bool:
        """Say whether nothing of a request is being read or answered."""
        return not self._is_taken and self._waiter is not None and not self._waiter.done()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed, and close. Raises what says that nobody is there."""
        if isinstance(exc, ConnectionError):
            # The client hung up amid its request: no fault of ours, and nobody to answer.
            metrics.REQUESTS.labels("hung_up", 499).inc()
            raise exc
        metrics.REQUESTS.labels("unparsed", status).inc()
        if (slot := self.take_slot()) is not None:
            slot.leave()
        self.close()
        reply = plain(status if 400 <= status < 600 else 400)
        return response_writer(Response(reply.status, reply.body, reply.content_type), request, 1.0)
