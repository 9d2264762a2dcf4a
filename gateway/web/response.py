"""Replies, written in one piece.

A reply is its final bytes: the head is put together once, and head and body leave in one write.
``web.Response`` builds a header multidict and serialises it for each answer, which costs about
as much as decoding the order; see ``ops/decisions/0005-http-server.md``.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from msgspec import Struct

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest, StreamResponse

    from gateway.web.transport.connection import HttpConnection

JSON = "application/json"
PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
#: The line of a head that says that the connection ends with the answer.
CLOSE = "Connection: close\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: tidegate\r\n"
    for status in HTTPStatus
}
#: Bytes that may stand in the socket's buffer before the handler waits for the client to read.
_BUFFERED_BYTES_MAX = 64 * 1024


class Response(Struct, frozen=True):
    """Status, body and head lines (each ``Name: value`` ended by CR LF)."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    head: str = ""


class StreamedResponse(Struct, frozen=True):
    """A reply whose body comes piece by piece, for as long as it takes. ``head`` as of ``Reply``.

    An error of ``pieces`` breaks the connection off, so that nobody takes a part for the whole.
    However it ends, also before it began, ``pieces`` is closed and ``done`` is called, once.
    """

    status: int
    pieces: AsyncGenerator[bytes, None]
    content_type: str
    done: Callable[[], None]
    head: str = ""


class _Date:
    """The Date header, made once a second."""

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


def head_bytes(reply: Response, connection: str) -> bytes:
    """Return the head of a reply; ``connection``: the line about what becomes of it, or none."""
    return (
        f"{_STATUS_LINES[reply.status]}{_date.line()}Content-Type: {reply.content_type}\r\n"
        f"Content-Length: {len(reply.body)}\r\n{reply.head}{connection}\r\n"
    ).encode("latin-1")


class _Writes:
    """What both kinds of reply do on a connection."""

    _write_s: float

    async def _wait_for_reader(self, request: "BaseRequest") -> None:
        try:
            async with asyncio.timeout(self._write_s):
                await request.protocol._drain_helper()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client does not read") from None


class OneWrite(_Writes):
    """What aiohttp's protocol wants of a response, around a ``Response``."""

    __slots__ = ("_is_head", "_reply", "_write_s", "body_length", "keep_alive", "status")

    def __init__(self, reply: Response, *, is_head: bool, write_s: float) -> None:
        self._reply = reply
        self._is_head = is_head
        self._write_s = write_s
        self.status = reply.status
        self.body_length = len(reply.body)
        self.keep_alive = True

    async def prepare(self, request: "BaseRequest") -> None:
        """Write the whole reply. Raises ConnectionError when nobody is there to read it."""
        reply = self._reply
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client hung up")
        # A closing reply to a body that was not read to its end: the rest must not be parsed.
        self.keep_alive = request.keep_alive and CLOSE not in reply.head
        connection = ""
        if not self.keep_alive:
            connection = "" if CLOSE in reply.head else CLOSE
        elif request.version.minor == 0:
            connection = "Connection: keep-alive\r\n"
        head = head_bytes(reply, connection)
        transport.write(head if self._is_head else head + reply.body)
        cast("HttpConnection", request.protocol).is_answered = self.keep_alive
        if transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
            await self._wait_for_reader(request)

    async def write_eof(self) -> None:
        """Do nothing: everything was written at once."""


class ManyWrites(_Writes):
    """What aiohttp's protocol wants of a response, around a ``StreamedResponse``."""

    def __init__(self, reply: StreamedResponse, *, is_head: bool, write_s: float) -> None:
        self._reply = reply
        self._is_head = is_head
        self._write_s = write_s
        self.status = reply.status
        self.body_length = 0
        self.keep_alive = True

    async def prepare(self, request: "BaseRequest") -> None:
        """Write all of it. Raises ConnectionError when nobody reads it, or it broke off."""
        try:
            await self._write(request)
        except ConnectionError:
            raise
        except Exception as exc:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the answer broke off") from exc
        finally:
            # One that never began has nothing to clean up, and does not.
            try:
                await self._reply.pieces.aclose()
            finally:
                self._reply.done()

    async def write_eof(self) -> None:
        """Do nothing: everything was written."""

    async def _write(self, request: "BaseRequest") -> None:
        reply, transport = self._reply, request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client hung up")
        # HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
        is_chunked = request.version.minor > 0
        is_last = not (request.keep_alive and is_chunked) or CLOSE in reply.head
        self.keep_alive = not is_last
        lines = "Transfer-Encoding: chunked\r\n" if is_chunked else ""
        if is_last and CLOSE not in reply.head:
            lines += CLOSE
        head = (
            f"{_STATUS_LINES[reply.status]}{_date.line()}Content-Type: {reply.content_type}\r\n"
            f"{lines}{reply.head}\r\n"
        )
        transport.write(head.encode("latin-1"))
        if not self._is_head:
            async for piece in reply.pieces:
                # Asked anew each time: the client may be gone, which closes the transport.
                if request.transport is None or transport.is_closing():
                    raise ConnectionResetError("the client hung up")
                if piece:
                    transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                if transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
                    await self._wait_for_reader(request)
            if is_chunked:
                transport.write(b"0\r\n\r\n")
        cast("HttpConnection", request.protocol).is_answered = self.keep_alive


def written(
    reply: "Response | StreamedResponse", raw: "BaseRequest", write_s: float
) -> "StreamResponse":
    """Make the response to a request; aiohttp asks of one only what these have."""
    if isinstance(reply, StreamedResponse):
        many = ManyWrites(reply, is_head=raw.method == "HEAD", write_s=write_s)
        return cast("StreamResponse", many)
    return one_write(reply, raw, write_s)


def one_write(reply: Response, raw: "BaseRequest", write_s: float) -> "StreamResponse":
    """Make the response to a request; aiohttp asks of one only what ``OneWrite`` has."""
    return cast("StreamResponse", OneWrite(reply, is_head=raw.method == "HEAD", write_s=write_s))
