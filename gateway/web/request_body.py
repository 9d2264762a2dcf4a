"""Reading a body: bounded in bytes and in time, before any work is spent on it; and its JSON."""

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

#: What zlib is told to unpack, by Content-Encoding; every other is refused.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def require_json(request: Request) -> None:
    """Raise ``Answered`` with 415 where the request says that its body is no JSON in UTF-8."""
    content_type = request.raw.headers.get(hdrs.CONTENT_TYPE)
    if content_type is not None and not is_json(content_type):
        raise Answered(problem("unsupported-media-type", "send application/json in UTF-8"))


def is_json(content_type: str) -> bool:
    """Say whether a Content-Type is that of JSON in UTF-8."""
    if content_type == JSON:
        return True
    essence, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").lower()
    return essence.strip().lower() == JSON and charset in ("", "charset=utf-8", 'charset="utf-8"')


def decoded(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """Return what ``decode`` makes of JSON. Raises ``Answered``: 400 for what is none, or 422."""
    try:
        return decode(body)
    except msgspec.ValidationError as exc:
        raise Answered(problem("invalid", faults=[fault(exc)])) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        detail = "JSON is nested too deep" if isinstance(exc, RecursionError) else str(exc)[:200]
        raise Answered(problem("malformed", detail)) from None


def read(request: Request, *, bytes_max: int, body_s: float) -> Coroutine[Any, Any, bytes]:
    """Return the body, decompressed, of at most ``bytes_max`` bytes within ``body_s`` seconds.

    Raises ``Answered`` with 400, 408, 413 or 415; the connection is then closed. Raises
    ``Overloaded`` when the slot that is given back while the body is on its way is then taken.
    """
    coding = request.raw.headers.get(hdrs.CONTENT_ENCODING)
    if coding is None:
        return _read(request, bytes_max, body_s)
    return _read_packed(request, coding.lower(), bytes_max, body_s)


async def _read_packed(request: Request, coding: str, bytes_max: int, body_s: float) -> bytes:
    window_bits = _WINDOW_BITS.get(coding)
    if window_bits is None and coding != "identity":
        detail = "only gzip and deflate are unpacked here"
        raise Answered(problem("unsupported-media-type", detail, head=CLOSE))
    packed = await _read(request, bytes_max, body_s)
    return packed if window_bits is None else _unpacked(packed, window_bits, bytes_max)


async def _read(request: Request, bytes_max: int, body_s: float) -> bytes:
    content = request.raw.content
    if content.is_eof():
        # Head and body came together, as they nearly always do.
        if content.exception() is None:
            data = content.read_nowait()
            return data if len(data) <= bytes_max else _refuse_size(bytes_max)
    else:
        declared = request.raw.content_length
        if declared is not None and declared > bytes_max:
            _refuse_size(bytes_max)
        request.leave_slot()
        _greet(request.raw)
    try:
        async with asyncio.timeout(body_s):
            body = await _collect(content, bytes_max)
    except TimeoutError:
        detail = f"the body must arrive within {body_s:g} s"
        raise Answered(problem("slow-body", detail, head=CLOSE)) from None
    except (web.RequestPayloadError, HttpProcessingError) as exc:
        detail = "the body does not have the length that its headers say"
        raise Answered(problem("malformed", detail, head=CLOSE)) from exc
    request.enter_slot()
    return body


def _unpacked(packed: bytes, window_bits: int, bytes_max: int) -> bytes:
    unpacking = zlib.decompressobj(window_bits)
    try:
        body = unpacking.decompress(packed, bytes_max + 1)
    except zlib.error:
        body = b""
    if len(body) > bytes_max:
        _refuse_size(bytes_max)
    if not unpacking.eof or unpacking.unused_data:
        detail = "the body is not compressed as its Content-Encoding says"
        raise Answered(problem("malformed", detail, head=CLOSE))
    return body


async def _collect(content: StreamReader, bytes_max: int) -> bytes:
    chunks = bytearray()
    while chunk := await content.readany():
        chunks += chunk
        if len(chunks) > bytes_max:
            _refuse_size(bytes_max)
    return bytes(chunks)


def _greet(request: web.BaseRequest) -> None:
    """Ask a client that waits for it to go on (RFC 9110, 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _refuse_size(bytes_max: int) -> bytes:
    raise Answered(problem("too-large", f"at most {bytes_max} bytes are taken here", head=CLOSE))
