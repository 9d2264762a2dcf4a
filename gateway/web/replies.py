"""Replies, written in one piece.

A reply is its final bytes: the head is put together once, and head and body leave in one write.
``web.Response`` builds a header multidict and serialises it for each answer, which costs about
as much as decoding the order; see ``ops/decisions/0005-http-server.md``.
"""

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from msgspec import Struct

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest, StreamResponse

    from gateway.web.protocol import Protocol

JSON = "application/json"
PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: tidegate\r\n"
    for status in HTTPStatus
}
#: Bytes that may stand in the socket's buffer before the handler waits for the client to read.
_BUFFERED_BYTES_MAX = 64 * 1024


class Reply(Struct, frozen=True):
    """Status, body and head lines (each ``Name: value`` ended by CR LF)."""

    status: int
    body: bytes = b""
    content_type: str = JSON
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


class OneWrite:
    """What aiohttp's protocol wants of a response, around a ``Reply``."""

    __slots__ = ("_is_head", "_reply", "_write_s", "body_length", "keep_alive", "status")

    def __init__(self, reply: Reply, *, is_head: bool, write_s: float) -> None:
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
        self.keep_alive = request.keep_alive and "Connection: close" not in reply.head
        connection = ""
        if not self.keep_alive:
            connection = "" if "Connection: close" in reply.head else "Connection: close\r\n"
        elif request.version.minor == 0:
            connection = "Connection: keep-alive\r\n"
        head = (
            f"{_STATUS_LINES[reply.status]}{_date.line()}Content-Type: {reply.content_type}\r\n"
            f"Content-Length: {len(reply.body)}\r\n{reply.head}{connection}\r\n"
        ).encode("latin-1")
        transport.write(head if self._is_head else head + reply.body)
        cast("Protocol", request.protocol).is_answered = self.keep_alive
        if transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
            await self._wait_for_reader(request)

    async def write_eof(self) -> None:
        """Do nothing: everything was written at once."""

    async def _wait_for_reader(self, request: "BaseRequest") -> None:
        try:
            async with asyncio.timeout(self._write_s):
                await request.protocol._drain_helper()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client does not read") from None


def one_write(reply: Reply, raw: "BaseRequest", write_s: float) -> "StreamResponse":
    """Make the response to a request; aiohttp asks of one only what ``OneWrite`` has."""
    return cast("StreamResponse", OneWrite(reply, is_head=raw.method == "HEAD", write_s=write_s))
