"""A request as handlers see it: headers, query, and a body bounded in bytes and in time."""

import asyncio
import zlib
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.overload.concurrency import Slot
from gateway.web import media_type
from gateway.web.json_faults import BODY, meant, printable
from gateway.web.problems import Answered, problem
from gateway.web.response import CLOSE

#: The ``wbits`` of zlib by Content-Encoding; every other coding is rejected.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


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
            reason = f"was sent {len(values)} times"
            detail = f"the header {name} {reason}"
            raise Answered(problem("malformed", detail, faults=[Fault(name, reason)]))
        return values[0] if values else None

    def query(self, known: frozenset[str], faults: list[Fault]) -> dict[str, str]:
        """Return the query's known parameters, each as it came first; none with U+0000.

        ``faults`` gets the unknown and the repeated ones: the caller adds its own and answers with
        all of them. Raises ``Answered`` where the query cannot be read at all.
        """
        try:
            pairs = parse_qsl(
                self.query_text, keep_blank_values=True, errors="strict", max_num_fields=30
            )
        except ValueError:
            unread = [Fault("query", "is too long or not UTF-8")]
            raise Answered(problem("malformed", faults=unread)) from None
        values: dict[str, str] = {}
        for name, value in pairs:
            if name in values:
                faults.append(Fault(printable(name), "is repeated"))
            elif name not in known:
                reason = f"is not a parameter of this path{meant(name, sorted(known))}"
                faults.append(Fault(printable(name), reason))
            elif "\0" in value:
                # No text of PostgreSQL has it.
                faults.append(Fault(name, "must not have the character U+0000"))
                continue
            values.setdefault(name, value)
        return {name: value for name, value in values.items() if name in known}


def require_json(request: Request) -> None:
    """Raise ``Answered`` with 415 where the Content-Type is not JSON in UTF-8."""
    content_type = request.raw.headers.get(hdrs.CONTENT_TYPE)
    if content_type is not None and (fault := media_type.json_fault(content_type)):
        faults = [Fault("Content-Type", fault)]
        detail = "send application/json in UTF-8"
        raise Answered(problem("unsupported-media-type", detail, faults=faults))


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
        faults = [Fault("Content-Encoding", "is none of gzip, deflate and identity")]
        raise Answered(problem("unsupported-media-type", detail, faults=faults, head=CLOSE))
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
        faults = [Fault(BODY, f"did not arrive within {body_s:g} s")]
        raise Answered(problem("slow-body", detail, faults=faults, head=CLOSE)) from None
    except (web.RequestPayloadError, HttpProcessingError) as exc:
        faults = [Fault(BODY, "does not match its declared length")]
        raise Answered(problem("malformed", faults=faults, head=CLOSE)) from exc
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
        faults = [Fault(BODY, "does not match its Content-Encoding")]
        raise Answered(problem("malformed", faults=faults, head=CLOSE))
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
    faults = [Fault(BODY, f"is larger than {bytes_max} bytes")]
    raise Answered(problem("too-large", faults=faults, head=CLOSE))
