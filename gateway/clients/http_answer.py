"""Reads one HTTP/1.1 answer from bytes, however a server cuts them. Pure: no socket, no clock.

Strict (RFC 9112): what two readers could read differently is no answer, because on a kept
connection the rest of it would be taken for the answer to the next request. Everything is bounded:
the head, interim answers, the body, and what a chunked body spends on its chunks.
"""

import re
from typing import Literal

from msgspec import Struct

from gateway.clients.call_failures import CallFailed, ConnectionGone

_HEAD_BYTES_MAX = 16 * 1024
_INTERIM_MAX = 8
#: Of the body of an answer that is no success: enough to tell a person what a robot said.
EXCERPT_BYTES_MAX = 1024
_RETRY_AFTER_CHARS_MAX = 64

_LINES = rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*"
_HEAD = re.compile(
    rb"HTTP/1\.(?P<minor>[01]) (?P<status>[1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n"
    rb"(?P<fields>" + _LINES + rb")"
)
_TRAILERS = re.compile(_LINES)
_FIELDS = re.compile(
    rb"(?mi)^(content-length|content-encoding|transfer-encoding|connection|retry-after)"
    rb":[ \t]*([^\r\n]*?)[ \t]*\r$"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*|;[\t -~\x80-\xff]*)")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_LINE_BYTES_MAX = 256
#: Content codings that compress nothing: none, and what servers send there by mistake.
_PLAIN = frozenset({b"", b"identity", b"none", b"utf-8"})
_NO_FIELDS: dict[bytes, bytes] = {}

_State = Literal["head", "length", "chunk", "until_close", "done"]


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

    def __init__(self, *, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._rest = bytearray()
        self._scanned = 0
        self._state: _State = "head"
        self._interim = 0
        self._status = 0
        self._retry_after = ""
        self._length = 0
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
        return 200 <= self._status < 300

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
        head = _HEAD.fullmatch(bytes(rest[: end + 2]))
        if head is None:
            raise CallFailed("the answer's head is malformed")
        del rest[: end + 4]
        self._scanned = 0
        status = int(head["status"])
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > _INTERIM_MAX:
                raise CallFailed("the server switched protocols, or never came to its answer")
            return True
        self._status = status
        self._begin_body(_fields(head["fields"]), is_http_1_1=head["minor"] == b"1")
        return True

    def _begin_body(self, fields: dict[bytes, bytes], *, is_http_1_1: bool) -> None:
        options = fields.get(b"connection", b"").lower().replace(b" ", b"").split(b",")
        self._is_kept = b"close" not in options and (is_http_1_1 or b"keep-alive" in options)
        self._retry_after = fields.get(b"retry-after", b"")[:_RETRY_AFTER_CHARS_MAX].decode("latin")
        coding = fields.get(b"content-encoding", b"").lower()
        if self._is_success and coding not in _PLAIN:
            raise CallFailed("the answer is compressed, which was not accepted")
        length, transfer = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        if transfer is not None and (length is not None or transfer.lower() != b"chunked"):
            raise _ambiguous()
        if length is not None and not _LENGTH.fullmatch(length):
            raise _ambiguous()
        if self._status in {204, 304}:
            self._state, self._length = "length", 0
        elif transfer is not None:
            self._state = "chunk"
        elif length is not None:
            self._state, self._length = "length", int(length)
            if self._is_success and self._length > self._body_bytes_max:
                raise self._too_large()
        else:
            self._state, self._is_kept = "until_close", False

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
        if self._state == "length":
            if len(self._rest) < self._length:
                return False
            self._body += self._rest[: self._length]
            del self._rest[: self._length]
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
        trailers = bytes(self._rest[at + 2 : end + 2])
        if not _TRAILERS.fullmatch(trailers) or _fields(trailers):
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
            status=self._status,
            body=bytes(self._body) if self._is_success else b"",
            retry_after=self._retry_after,
            excerpt=b"" if self._is_success else bytes(self._body[:EXCERPT_BYTES_MAX]),
        )
        return True

    def _too_large(self) -> CallFailed:
        return CallFailed(f"the answer has more than {self._body_bytes_max} bytes")


def _fields(text: bytes) -> dict[bytes, bytes]:
    """Return the fields that are read, in lower case; of repeated ones the values with commas."""
    found = _FIELDS.findall(text)
    if not found:
        return _NO_FIELDS
    fields: dict[bytes, bytes] = {}
    for name, value in found:
        key = name.lower()
        fields[key] = fields[key] + b"," + value if key in fields else value
    return fields


def _bad_chunk() -> CallFailed:
    return CallFailed("the answer's chunks are malformed")


def _ambiguous() -> CallFailed:
    return CallFailed("the answer's length is ambiguous")
