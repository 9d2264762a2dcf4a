"""Reads one HTTP/1.1 answer from bytes, however a server cuts them. Pure: no socket, no clock.

Strict (RFC 9112): what two readers could read differently is no answer, because on a kept
connection the rest of it would be taken for the answer to the next request. Everything is bounded:
the head, interim answers, the body, and what a chunked body spends on its chunks.
"""

import re
from typing import Literal

from msgspec import Struct

from gateway.clients import http_head
from gateway.clients.call_failures import CallFailed, ConnectionGone
from gateway.clients.http_head import Head

_HEAD_BYTES_MAX = 16 * 1024
_INTERIM_MAX = 8
#: Of the body of an answer that is no success: enough to tell a person what a robot said.
EXCERPT_BYTES_MAX = 1024

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*|;[\t -~\x80-\xff]*)")
_CHUNK_LINE_BYTES_MAX = 256

_State = Literal["head", "length", "chunk", "until_close", "done"]
#: Before there is a head.
_NONE = Head(0, None, False, False, True, "")


class Answer(Struct, frozen=True):
    """An HTTP answer. ``body`` is empty unless the status is one of success (2xx).

    Of other answers ``excerpt`` has what came together with the head, up to 1 KiB. It is the
    server's own text, which may repeat what was sent: never log or store it.
    """

    status: int
    body: bytes
    retry_after: str = ""
    excerpt: bytes = b""


class AnswerReader:
    """Reads one answer; ``answer`` has it as soon as ``feed`` or ``end`` returns True."""

    __slots__ = (
        "_body", "_body_bytes_max", "_head", "_interim", "_is_kept", "_overhead", "_rest",
        "_scanned", "_state", "answer",
    )  # fmt: skip

    def __init__(self, *, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._rest = bytearray()
        self._scanned = 0
        self._state: _State = "head"
        self._interim = 0
        self._head = _NONE
        self._body = bytearray()
        self._overhead = 0
        self._is_kept = False
        self.answer: Answer | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether the connection is ready for a next request: all was read, and nothing more."""
        return self._state == "done" and self._is_kept and not self._rest

    @property
    def is_until_close(self) -> bool:
        """Whether the answer ends with the connection."""
        return self._state == "until_close"

    def feed(self, data: bytes) -> bool:
        """Take what arrived; return whether the answer is complete. Raises ``CallFailed``."""
        self._rest += data
        while self._state == "head":
            if not self._take_head():
                return False
        return self._take_body()

    def end(self) -> bool:
        """Take the end of the connection. Raises ``CallFailed`` in the middle of an answer."""
        if self._state == "until_close":
            return self._finish()
        if self._state == "head" and not self._rest and not self._interim:
            raise ConnectionGone("the server closed the connection without an answer")
        raise CallFailed("the server closed the connection in the middle of its answer")

    @property
    def _is_success(self) -> bool:
        return 200 <= self._head.status < 300

    def _take_head(self) -> bool:
        """Read a head if it is there in full; return whether it was."""
        rest = self._rest
        if not rest.startswith(b"HTTP/1.") and rest[:7] != b"HTTP/1."[: len(rest)]:
            raise CallFailed("the answer is not HTTP/1.1")
        end = rest.find(b"\r\n\r\n", self._scanned)
        if end < 0 and len(rest) <= _HEAD_BYTES_MAX:
            # Only what is new is searched next time, however small the pieces are.
            self._scanned = max(0, len(rest) - 3)
            return False
        if not 0 <= end <= _HEAD_BYTES_MAX:
            raise CallFailed(f"the answer's head has more than {_HEAD_BYTES_MAX} bytes")
        head = http_head.parse(bytes(rest[: end + 2]))
        del rest[: end + 4]
        self._scanned = 0
        if head.status >= 200:
            self._begin_body(head)
            return True
        self._interim += 1
        if head.status == 101 or self._interim > _INTERIM_MAX:
            raise CallFailed("the server switched protocols, or never came to its answer")
        return True

    def _begin_body(self, head: Head) -> None:
        self._head = head
        self._is_kept = head.is_kept
        if self._is_success and not head.is_plain:
            raise CallFailed("the answer is compressed, which was not accepted")
        if head.is_chunked:
            self._state = "chunk"
        elif head.length is None:
            self._state = "until_close"
        else:
            self._state = "length"
            if self._is_success and head.length > self._body_bytes_max:
                raise self._too_large()

    def _take_body(self) -> bool:
        """Read what is there of the body. What is no success is not waited for."""
        if self._is_success:
            return self._step()
        try:
            if self._step():
                return True
        except CallFailed:
            pass  # its status and head say enough
        self._is_kept = False
        if self._state == "length":
            self._body += self._rest[:EXCERPT_BYTES_MAX]
        return self._finish()

    def _step(self) -> bool:
        length = self._head.length
        if length is not None:
            if len(self._rest) < length:
                return False
            if length:
                self._body += self._rest[:length]
                del self._rest[:length]
            return self._finish()
        if self._state == "until_close":
            self._add(self._rest)
            self._rest.clear()
            return False
        return self._take_chunks()

    def _take_chunks(self) -> bool:
        """Read chunks while they are there in full; return whether the last one was."""
        rest, at = self._rest, 0
        try:
            while True:
                end = rest.find(b"\r\n", at, at + _CHUNK_LINE_BYTES_MAX)
                if end < 0:
                    if len(rest) - at >= _CHUNK_LINE_BYTES_MAX:
                        raise _bad_chunk()
                    return False
                line = _CHUNK.fullmatch(bytes(rest[at:end]))
                if line is None:
                    raise _bad_chunk()
                size, begin = int(line[1], 16), end + 2
                if size == 0:
                    return self._take_trailers(end)
                if len(self._body) + size > self._body_bytes_max:
                    raise self._too_large()
                if len(rest) < begin + size + 2:
                    return False
                if rest[begin + size : begin + size + 2] != b"\r\n":
                    raise _bad_chunk()
                self._spend(begin + 2 - at)
                self._add(rest[begin : begin + size])
                at = begin + size + 2
        finally:
            if self._state == "chunk":
                del rest[:at]

    def _take_trailers(self, at: int) -> bool:
        """Read past trailers, which are nothing to us; none may be about the answer's length."""
        end = self._rest.find(b"\r\n\r\n", at)
        if end < 0:
            self._spend(0, pending=len(self._rest) - at)
            return False
        self._spend(end + 4 - at)
        if not http_head.are_trailers(bytes(self._rest[at + 2 : end + 2])):
            raise _bad_chunk()
        del self._rest[: end + 4]
        return self._finish()

    def _spend(self, count: int, *, pending: int = 0) -> None:
        self._overhead += count
        if self._overhead + pending > self._body_bytes_max + _HEAD_BYTES_MAX:
            raise self._too_large()

    def _add(self, piece: bytes | bytearray) -> None:
        if len(self._body) + len(piece) > self._body_bytes_max:
            raise self._too_large()
        self._body += piece

    def _finish(self) -> bool:
        self._state = "done"
        self.answer = Answer(
            status=self._head.status,
            body=bytes(self._body) if self._is_success else b"",
            retry_after=self._head.retry_after,
            excerpt=b"" if self._is_success else bytes(self._body[:EXCERPT_BYTES_MAX]),
        )
        return True

    def _too_large(self) -> CallFailed:
        return CallFailed(f"the answer has more than {self._body_bytes_max} bytes")


def _bad_chunk() -> CallFailed:
    return CallFailed("the answer's chunks are malformed")
