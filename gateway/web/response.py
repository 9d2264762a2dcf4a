"""HTTP responses, and the writers that send them on a connection.

The head is put together as text and leaves with the body in one write. ``aiohttp.web.Response``
builds a header multidict and serialises it for each response, which costs about as much as
decoding an order; see ``ops/decisions/0005-http-server.md``.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, cast

from aiohttp.web import BaseRequest, StreamResponse
from msgspec import Struct

from gateway.web.outcomes import Outcome

JSON = "application/json"
PROBLEM = "application/problem+json"
#: The header line of the last response on a connection.
CLOSE = "Connection: close\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: tidegate\r\n"
    for status in HTTPStatus
}
_NOT_MODIFIED = HTTPStatus.NOT_MODIFIED.value
#: Unsent bytes above which a handler waits for the client to read (back-pressure).
_BUFFERED_BYTES_MAX = 64 * 1024


class Response(Struct, frozen=True):
    """A response of known length.

    ``head`` has further header lines, each ``Name: value`` ended by CR LF, in Latin-1. Date,
    Server, Content-Type, Content-Length and X-Request-Id are added when it is written. ``outcome``
    labels the metrics of the request; None: its status tells.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    head: str = ""
    outcome: Outcome | None = None


class StreamedResponse(Struct, frozen=True):
    """A response whose body is sent in pieces as they become ready.

    ``head`` is as of ``Response``. An error of ``pieces`` aborts the connection, so that no client
    mistakes a part for the whole. However it ends, even before the first piece, ``pieces`` is
    closed and then ``done`` is called, once.
    """

    status: int
    pieces: AsyncGenerator[bytes, None]
    content_type: str
    done: Callable[[], None]
    head: str = ""
    outcome: Outcome | None = None


class _Connection(Protocol):
    """What a writer needs of the connection (``transport.connection.HttpConnection``)."""

    #: Whether the last request that was parsed has its response, and another may follow.
    is_answered: bool

    async def _drain_helper(self) -> None:
        """Wait until the transport takes more. Raises ConnectionError when it is lost."""
        ...


class _Date:
    """The Date header, formatted once per second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line


_date = _Date()


def head_bytes(response: Response, connection: str, request_id: str) -> bytes:
    """Return the head of a response, with the empty line that ends it.

    ``connection``: the Connection header's line ended by CR LF, or "" for none.
    """
    return (
        f"{_STATUS_LINES[response.status]}{_date.line()}Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nX-Request-Id: {request_id}\r\n"
        f"{response.head}{connection}\r\n"
    ).encode("latin-1")


def shared_head_bytes(response: Response, connection: str) -> bytes:
    """Return the head of a response that many requests get, which names none of them."""
    return (
        f"{_STATUS_LINES[response.status]}{_date.line()}Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n{response.head}{connection}\r\n"
    ).encode("latin-1")


class _Writer:
    """What both writers share."""

    _write_s: float

    async def _wait_for_client(self, request: BaseRequest) -> None:
        try:
            async with asyncio.timeout(self._write_s):
                await cast("_Connection", request.protocol)._drain_helper()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client does not read") from None


class ResponseWriter(_Writer):
    """Sends a ``Response`` in one write; has what aiohttp's protocol uses of a StreamResponse."""

    __slots__ = (
        "_is_head", "_request_id", "_response", "_write_s", "body_length", "keep_alive", "status",
    )  # fmt: skip

    def __init__(
        self, response: Response, *, is_head: bool, write_s: float, request_id: str
    ) -> None:
        self._response = response
        self._request_id = request_id
        self._is_head = is_head
        self._write_s = write_s
        self.status = response.status
        self.body_length = len(response.body)
        self.keep_alive = True

    async def prepare(self, request: BaseRequest) -> None:
        """Write all of it. Raises ConnectionError when the client is gone or does not read."""
        response = self._response
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client hung up")
        # A body may be unread where the connection closes: the rest of it must not be parsed.
        self.keep_alive = request.keep_alive and CLOSE not in response.head
        connection = ""
        if not self.keep_alive:
            connection = "" if CLOSE in response.head else CLOSE
        elif request.version.minor == 0:
            connection = "Connection: keep-alive\r\n"
        head = head_bytes(response, connection, self._request_id)
        transport.write(head if self._is_head else head + response.body)
        cast("_Connection", request.protocol).is_answered = self.keep_alive
        if transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
            await self._wait_for_client(request)

    async def write_eof(self) -> None:
        """Do nothing: ``prepare`` wrote everything."""


class StreamedResponseWriter(_Writer):
    """Sends a ``StreamedResponse``; has what aiohttp's protocol uses of a StreamResponse."""

    def __init__(
        self, response: StreamedResponse, *, is_head: bool, write_s: float, request_id: str
    ) -> None:
        self._response = response
        self._request_id = request_id
        self._is_head = is_head
        self._write_s = write_s
        self.status = response.status
        self.body_length = 0
        self.keep_alive = True

    async def prepare(self, request: BaseRequest) -> None:
        """Write all of it. Raises ConnectionError when it could not be sent whole."""
        try:
            await self._write(request)
        except ConnectionError:
            raise
        except Exception as exc:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the response broke off") from exc
        finally:
            # A generator that never started runs none of its own clean-up.
            try:
                await self._response.pieces.aclose()
            finally:
                self._response.done()

    async def write_eof(self) -> None:
        """Do nothing: ``prepare`` wrote everything."""

    async def _write(self, request: BaseRequest) -> None:
        response, transport = self._response, request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client hung up")
        # HTTP/1.0 has no chunks: there the end of the connection ends the body.
        is_chunked = request.version.minor > 0
        is_last = not (request.keep_alive and is_chunked) or CLOSE in response.head
        self.keep_alive = not is_last
        lines = "Transfer-Encoding: chunked\r\n" if is_chunked else ""
        if is_last and CLOSE not in response.head:
            lines += CLOSE
        head = (
            f"{_STATUS_LINES[response.status]}{_date.line()}"
            f"Content-Type: {response.content_type}\r\nX-Request-Id: {self._request_id}\r\n"
            f"{lines}{response.head}\r\n"
        )
        transport.write(head.encode("latin-1"))
        if not self._is_head:
            async for piece in response.pieces:
                # Read anew each time: it is None once the client is gone.
                if request.transport is None or transport.is_closing():
                    raise ConnectionResetError("the client hung up")
                if piece:
                    transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                if transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
                    await self._wait_for_client(request)
            if is_chunked:
                transport.write(b"0\r\n\r\n")
        cast("_Connection", request.protocol).is_answered = self.keep_alive


def writer_for(
    response: Response | StreamedResponse,
    request: BaseRequest,
    write_s: float,
    request_id: str,
) -> StreamResponse:
    """Return the writer of a response to this request, typed as what aiohttp expects.

    ``write_s``: seconds that the client may leave more than 64 KiB unread.
    """
    if isinstance(response, StreamedResponse):
        streamed = StreamedResponseWriter(
            response,
            is_head=request.method == "HEAD",
            write_s=write_s,
            request_id=request_id,
        )
        return cast("StreamResponse", streamed)
    return response_writer(response, request, write_s, request_id)


def response_writer(
    response: Response, request: BaseRequest, write_s: float, request_id: str
) -> StreamResponse:
    """Do the same for a response of known length."""
    is_head = request.method == "HEAD" or response.status == _NOT_MODIFIED
    return cast(
        "StreamResponse",
        ResponseWriter(response, is_head=is_head, write_s=write_s, request_id=request_id),
    )
