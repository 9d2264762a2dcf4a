"""The connection: aiohttp's protocol, which sees what was not rejected on its first bytes."""

import asyncio
import sys
from typing import Any, Protocol, cast

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from gateway.domain.features import ORDER_SUBMISSION
from gateway.overload.concurrency import Slot
from gateway.runtime.request_ids import RequestIds
from gateway.web import metrics
from gateway.web.fast_path.handler import FastPath
from gateway.web.problems import named, problem
from gateway.web.response import CLOSE, Response, head_bytes, response_writer
from gateway.web.transport import broken_head
from gateway.web.transport.early_rejection import Decision, EarlyRejection, RejectedRequest

#: Seconds that a rejected body is read and dropped after the last response.
LINGER_S = 1.0


class _Transport(Protocol):
    """What a connection needs of its transport besides asyncio's (``ClientTransport``)."""

    def expect_request(self) -> None:
        """Let the listener decide about what is received next, which begins a request."""
        ...

    def take_was_rejected(self) -> bool:
        """Return whether the listener rejected a request of this client since the last call."""
        ...


class HttpConnection(RequestHandler):
    """One client's HTTP connection, with the gateway's errors for what no handler saw.

    Every request takes one of three ways: rejected on its first bytes, the fast path, or aiohttp's
    parser and a handler task (the regular path). Invariants: responses leave in the order of the
    requests; a request is decided about early only where it is known to begin, and where that is
    no longer known (``_lost_track``) the dispatcher decides about each, at a higher cost; a slot
    is held by the connection from its decision until ``take_slot``, and is left when it is lost.

    What it uses of aiohttp beyond the public interface is listed in ``aiohttp_internals.py``.
    """

    __slots__ = (
        "_body_bytes", "_client_transport", "_early_rejection", "_fast_path", "_in_fast_path",
        "_is_half_closed", "_is_line_long", "_line_bytes_max", "_lost_track", "_new_request_id",
        "_partial_head", "_pipelined", "_requests_located", "_skip_bytes", "_slot", "_write_s",
        "is_answered",
    )  # fmt: skip

    def __init__(
        self,
        server: web.Server,
        *,
        early_rejection: EarlyRejection,
        fast_path: FastPath | None,
        new_request_id: RequestIds,
        write_s: float,
        **options: Any,
    ) -> None:
        """``write_s``: seconds that a client may take to read the last response.

        ``options``: of ``RequestHandler``.
        """
        super().__init__(server, **options)
        self._line_bytes_max: int = options["max_line_size"]
        # Whether the first line of the head that the parser rejected is longer.
        self._is_line_long = False
        self._early_rejection = early_rejection
        self._fast_path = fast_path
        self._new_request_id = new_request_id
        self._write_s = write_s
        # What the parser has of a head that is not complete, and how much of a body is to come.
        self._partial_head = b""
        self._body_bytes = 0
        # Whether it is unknown where the next request begins, as after chunks.
        self._lost_track = False
        # Number of parsed requests whose beginning was known; compared with aiohttp's own count.
        self._requests_located = 0
        # How much of the body of a rejected request is to come.
        self._skip_bytes = 0
        #: Whether the last request that was parsed has its response, and another may follow.
        self.is_answered = False
        self._slot: Slot | None = None
        # Whether a request of the fast path has no response yet, and what was received since.
        self._in_fast_path = False
        self._pipelined = b""
        # Whether the client stopped sending meanwhile.
        self._is_half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve the connection."""
        self._client_transport = cast("_Transport", transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Reject what cannot be served now; pass the rest to the fast path or to the parser."""
        if self._in_fast_path:
            # Responses leave in order: what is pipelined waits, and back-pressure with it.
            self._pipelined += data
            if data and self.transport is not None:
                self.transport.pause_reading()
            return
        if self._skip_bytes:
            skipped, data = data[: self._skip_bytes], data[self._skip_bytes :]
            self._skip_bytes -= len(skipped)
            if not data:
                if not self._skip_bytes:
                    self._client_transport.expect_request()
                return
        if self._lost_track or not data:
            RequestHandler.data_received(self, data)
        elif self._body_bytes:
            self._body_bytes -= len(data)
            self._lost_track = self._body_bytes < 0
            RequestHandler.data_received(self, data)
        elif self._partial_head or not self._is_between_requests():
            self._parse(data)
        else:
            self.begin_request(data, self._early_rejection.decide(data))

    def begin_request(self, data: bytes, decision: Decision) -> None:
        """Act on the decision about the request that ``data`` begins with."""
        if isinstance(decision, Slot):
            if self._try_fast_path(data, decision):
                return
            self._slot = decision
        elif decision is not None:
            data = self._reject_all(data, decision)
        if data:
            self._parse(data)

    def _try_fast_path(self, data: bytes, slot: Slot) -> bool:
        if self._fast_path is None or self._early_rejection.is_draining:
            return False
        assert self.transport is not None
        # A client that does not read its responses takes the regular path, which waits for it.
        if slot.feature is not ORDER_SUBMISSION or self.transport.get_write_buffer_size():
            return False
        # Set before, as the response may be sent within the call.
        self._in_fast_path = True
        try:
            is_taken = self._fast_path.take(data, slot, self)
        except BaseException:
            self._in_fast_path = False
            slot.leave()
            raise
        if not is_taken:
            self._in_fast_path = False
        return is_taken

    def respond(self, response: Response, *, closes: bool, request_id: str) -> None:
        """Send the response of the fast path's request, then serve what was pipelined after it."""
        self._in_fast_path = False
        pipelined, self._pipelined = self._pipelined, b""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        closes = closes or self._is_half_closed or self._early_rejection.is_draining
        try:
            head = head_bytes(response, CLOSE if closes else "", request_id)
            transport.write(head + response.body)
        except BaseException:
            transport.abort()
            raise
        if pipelined:
            transport.resume_reading()
        if closes:
            self._end(transport, lingers=bool(pipelined))
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if pipelined:
            self.data_received(pipelined)
        else:
            self._client_transport.expect_request()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it
        """Keep the connection open for the response of a client that stopped sending."""
        if self._in_fast_path:
            self._is_half_closed = True
            return True
        super().eof_received()
        return None

    def _process_keepalive(self) -> None:
        if self._in_fast_path or self._client_transport.take_was_rejected():
            # Not idle: its time begins with its response, or now after one of the listener's.
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def _reject_all(self, data: bytes, decision: RejectedRequest | bytes) -> bytes:
        """Reject the first request of ``data`` and those after it; return what is not rejected."""
        while isinstance(decision, RejectedRequest):
            self._write_rejection(decision.response)
            if decision.closes:
                if self.transport is not None:
                    self._end(self.transport, lingers=True)
                return b""
            self._skip_bytes = max(0, decision.request_bytes - len(data))
            data = data[decision.request_bytes :]
            if not data:
                return b""
            following = self._early_rejection.decide(data)
            if not isinstance(following, RejectedRequest | bytes):
                self._slot = following
                return data
            decision = following
        self._write_rejection(decision)
        self._client_transport.expect_request()
        return b""

    def _parse(self, data: bytes) -> None:
        """Pass a head, or a part of one, to the parser, and locate the end of its request."""
        # The parser skips empty lines before a request (RFC 9112, 2.2): they are of no head.
        head = self._partial_head + data if self._partial_head else data
        self._partial_head = head.lstrip(b"\r\n")
        RequestHandler.data_received(self, data)
        if self._request_count == self._requests_located:
            return
        self.is_answered = False
        self._requests_located += 1
        head, self._partial_head = self._partial_head, b""
        end = head.find(b"\r\n\r\n")
        message = self._messages[-1][0] if self._messages else None
        self._is_line_long = not 0 <= head.find(b"\r\n") <= self._line_bytes_max
        if (
            end < 0
            # More than one, or one that the parser had buffered and found by itself.
            or self._request_count != self._requests_located
            or not isinstance(message, RawRequestMessage)
            # Only the parser knows where these end.
            or message.chunked
            or message.upgrade
        ):
            self._lost_track = True
            return
        body_bytes = int(message.headers.get(hdrs.CONTENT_LENGTH, 0))
        self._body_bytes = body_bytes - (len(head) - end - 4)
        if self._body_bytes < 0:
            self._body_bytes, self._lost_track = 0, True

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the connection; its slot is left."""
        if (slot := self.take_slot()) is not None:
            slot.leave()
        super().connection_lost(exc)

    def take_slot(self) -> Slot | None:
        """Return the slot of the request that is about to be handled; the caller leaves it."""
        slot, self._slot = self._slot, None
        return slot

    def _is_between_requests(self) -> bool:
        """Return whether a request may begin now: none is read, queued or being answered."""
        waiter = self._waiter
        if waiter is not None:
            return not waiter.done()
        # The handler task may not have run yet: before the first request, and after a response,
        # which a client may read and send its next request before the task runs again.
        is_open = not self._force_close and not self._close
        return is_open and (not self._request_count or (self.is_answered and not self._messages))

    def _write_rejection(self, response: bytes) -> None:
        transport = self.transport
        assert transport is not None
        transport.write(response)
        # It is not idle: its time begins anew.
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._paused:
            # The client leaves more unread than is buffered for a connection (64 KiB).
            transport.abort()

    def _end(self, transport: asyncio.Transport, *, lingers: bool) -> None:
        """End the connection after the last response.

        ``lingers``: its client may still be sending; read on for ``LINGER_S``, as the kernel would
        otherwise reset the connection and the client would lose the response.
        """
        self.close()
        if not lingers:
            transport.close()
            return
        self._skip_bytes = sys.maxsize
        transport.write_eof()
        self._loop.call_later(LINGER_S, transport.close)

    async def start(self) -> None:
        """Serve the connection's requests (aiohttp's handler task), then see that it ends."""
        transport = self.transport
        try:
            await super().start()
        finally:
            # Closing waits until the client has read what was written, which it may never do.
            if transport is not None and transport.get_write_buffer_size():
                self._loop.call_later(self._write_s, transport.abort)

    def is_idle(self) -> bool:
        """Return whether no request is being read or answered."""
        return not self._in_fast_path and self._waiter is not None and not self._waiter.done()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to what could not be parsed, and close. Raises ``exc`` if the client is gone."""
        if isinstance(exc, ConnectionError):
            # The client left while it sent: not an error of the gateway.
            metrics.REQUESTS.labels("hung_up", 499).inc()
            raise exc
        response = self._broken(status, exc)
        metrics.REQUESTS.labels("unparsed", response.status).inc()
        if (slot := self.take_slot()) is not None:
            slot.leave()
        self.close()
        request_id = self._new_request_id()
        return response_writer(named(response, request_id), request, 1.0, request_id)

    def _broken(self, status: int, exc: BaseException | None) -> Response:
        if status >= 500:
            return problem("internal", "the request failed outside its handler")
        return broken_head.response(
            exc, is_first_line=self._is_line_long, line_bytes_max=self._line_bytes_max
        )
