"""Reading of a body, bounded in bytes and in time, and decoding of its JSON."""

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.web.problems import Answered, problem
from gateway.web.request import Request, fault
from gateway.web.response import CLOSE, JSON

_T = TypeVar("_T")

#: The ``wbits`` of zlib by Content-Encoding; every other coding is rejected.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


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


def decoded(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """Return decoded JSON. Raises ``Answered``: 400 for a body that is not JSON, else 422."""
    try:
        return decode(body)
    except msgspec.ValidationError as exc:
        raise Answered(problem("invalid", faults=[fault(exc)])) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        detail = "JSON is nested too deeply" if isinstance(exc, RecursionError) else str(exc)[:200]
        raise Answered(problem("malformed", detail)) from None


def read(request: Request, *, bytes_max: int, body_s: float) -> Coroutine[Any, Any, bytes]:
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
