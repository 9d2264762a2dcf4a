"""A request as handlers see it: headers, query, and a body bounded in bytes and in time."""

import asyncio
import re
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.overload.concurrency import Slot
from gateway.web.problems import Answered, problem
from gateway.web.response import CLOSE, JSON

_T = TypeVar("_T")

#: The ``wbits`` of zlib by Content-Encoding; every other coding is rejected.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
#: What a decoder raises for a body that is not what it should be.
NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_AT = re.compile(r"^(?P<reason>.*) - at `\$?\.?(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)


class Request:
    """One request: aiohttp's own, the variables of its path, its principal, and its slot."""

    __slots__ = ("path_values", "principal", "query_text", "raw", "slot")

    def __init__(
        self,
        raw: web.BaseRequest,
        path_values: tuple[str, ...],
        query_text: str,
        slot: Slot | None,
    ) -> None:
        self.raw = raw
        self.path_values = path_values
        self.query_text = query_text
        self.slot = slot
        self.principal: Principal | None = None

    def leave_slot(self) -> None:
        """Release the slot: what follows waits for others and needs no CPU. May be repeated."""
        if self.slot is not None:
            self.slot.leave()

    def enter_slot(self) -> None:
        """Take a slot again, if it was released. Raises ``Overloaded``."""
        if self.slot is not None:
            self.slot.enter()

    def header(self, name: str) -> str | None:
        """Return a header; None when not sent. Raises ``Answered`` with 400 when sent twice."""
        values = self.raw.headers.getall(name, ())
        if len(values) > 1:
            raise Answered(problem("malformed", f"the header {name} was sent {len(values)} times"))
        return values[0] if values else None

    def query(self, known: frozenset[str]) -> dict[str, str]:
        """Return the query's parameters. Raises ``Answered`` for unknown or repeated ones."""
        try:
            pairs = parse_qsl(
                self.query_text, keep_blank_values=True, errors="strict", max_num_fields=30
            )
        except ValueError:
            raise Answered(problem("malformed", "the query is too long or not UTF-8")) from None
        values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known or name in values:
                reason = "is repeated" if name in values else "is not a parameter of this path"
                raise Answered(problem("invalid", faults=[Fault(printable(name), reason)]))
            values[name] = value
        return values


def printable(name: str) -> str:
    """Return a name from a client as short, printable ASCII for an error message."""
    return name[:64].encode("ascii", "backslashreplace").decode()


def fault(exc: msgspec.ValidationError) -> Fault:
    """Return the field and reason of a decoder's error: ``items[0].quantity``, ``is required``."""
    text = str(exc)
    path = ""
    if match := _AT.match(text):
        text, path = match["reason"], match["path"]
    for pattern, reason in ((_UNKNOWN, "is not a field of this object"), (_MISSING, "is required")):
        if match := pattern.match(text):
            return Fault(".".join(filter(None, (path, printable(match["name"])))), reason)
    return Fault(path.replace("[...]", "[]") or "body", text[:1].lower() + text[1:200])


def require_json(request: Request) -> None:
    """Raise ``Answered`` with 415 where the Content-Type is not JSON in UTF-8."""
    content_type = request.raw.headers.get(hdrs.CONTENT_TYPE)
    if content_type is not None and not is_json(content_type):
        raise Answered(problem("unsupported-media-type", "send application/json in UTF-8"))


def is_json(content_type: str) -> bool:
    """Return whether a Content-Type is that of JSON in UTF-8."""
    if content_type == JSON:
        return True
    essence, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").lower()
    return essence.strip().lower() == JSON and charset in ("", "charset=utf-8", 'charset="utf-8"')


def decode_json(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """Return decoded JSON. Raises ``Answered``: 400 for a body that is not JSON, else 422."""
    try:
        return decode(body)
    except NOT_DECODED as exc:
        raise json_error(exc) from None


def json_error(exc: Exception) -> Answered:
    """Return the answer to one of ``NOT_DECODED``: 400 for a body that is not JSON, else 422."""
    if isinstance(exc, msgspec.ValidationError):
        return Answered(problem("invalid", faults=[fault(exc)]))
    detail = "JSON is nested too deeply" if isinstance(exc, RecursionError) else str(exc)[:200]
    return Answered(problem("malformed", detail))


def read_body(request: Request, *, bytes_max: int, body_s: float) -> Coroutine[Any, Any, bytes]:
    """Return the body, decompressed, of at most ``bytes_max`` bytes within ``body_s`` seconds.

    Raises ``Answered`` with 400, 408, 413 or 415; the connection is then closed. The slot is
    released while the body is awaited; raises ``Overloaded`` when none is free afterwards.
    """
    coding = request.raw.headers.get(hdrs.CONTENT_ENCODING)
    if coding is None:
        return _read(request, bytes_max, body_s)
    return _read_compressed(request, coding.lower(), bytes_max, body_s)


async def _read_compressed(request: Request, coding: str, bytes_max: int, body_s: float) -> bytes:
    window_bits = _WINDOW_BITS.get(coding)
    if window_bits is None and coding != "identity":
        detail = "send the body as it is, or with gzip or deflate"
        raise Answered(problem("unsupported-media-type", detail, head=CLOSE))
    compressed = await _read(request, bytes_max, body_s)
    return compressed if window_bits is None else _decompressed(compressed, window_bits, bytes_max)


async def _read(request: Request, bytes_max: int, body_s: float) -> bytes:
    content = request.raw.content
    if content.is_eof():
        # Head and body arrived together, as they nearly always do.
        if content.exception() is None:
            data = content.read_nowait()
            return data if len(data) <= bytes_max else _reject_size(bytes_max)
    else:
        declared = request.raw.content_length
        if declared is not None and declared > bytes_max:
            _reject_size(bytes_max)
        request.leave_slot()
        _send_continue(request.raw)
    try:
        async with asyncio.timeout(body_s):
            body = await _collect(content, bytes_max)
    except TimeoutError:
        detail = f"the body must arrive within {body_s:g} s"
        raise Answered(problem("slow-body", detail, head=CLOSE)) from None
    except (web.RequestPayloadError, HttpProcessingError) as exc:
        detail = "the body does not match its declared length"
        raise Answered(problem("malformed", detail, head=CLOSE)) from exc
    request.enter_slot()
    return body


def _decompressed(compressed: bytes, window_bits: int, bytes_max: int) -> bytes:
    decompressor = zlib.decompressobj(window_bits)
    try:
        body = decompressor.decompress(compressed, bytes_max + 1)
    except zlib.error:
        body = b""
    if len(body) > bytes_max:
        _reject_size(bytes_max)
    if not decompressor.eof or decompressor.unused_data:
        detail = "the body does not match its Content-Encoding"
        raise Answered(problem("malformed", detail, head=CLOSE))
    return body


async def _collect(content: StreamReader, bytes_max: int) -> bytes:
    chunks = bytearray()
    while chunk := await content.readany():
        chunks += chunk
        if len(chunks) > bytes_max:
            _reject_size(bytes_max)
    return bytes(chunks)


def _send_continue(request: web.BaseRequest) -> None:
    """Send 100 Continue to a client that expects it (RFC 9110, 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _reject_size(bytes_max: int) -> bytes:
    raise Answered(problem("too-large", f"the limit is {bytes_max} bytes", head=CLOSE))
