"""Early rejection always knows where requests begin: no part of a body is taken for one."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from gateway.overload.admission import Admission
from gateway.web.transport.connection import HttpConnection
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web.support import Answer, Wire, read_answer
from tests.web.test_early_rejection import full, last

_HIDDEN = b"POST /v1/orders HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n"
_BODY_BYTES = 5000
#: Bytes by which the assumed beginning could be wrong, besides the length of the head.
_OFF = (-1, 0, 1)


@pytest.fixture
def admission(site: Site) -> Iterator[Admission]:
    admission = site.gateway.admission
    yield admission
    assert admission.concurrency.in_use == 0, "a slot was leaked"


async def _in_pieces(wire: Wire, *pieces: bytes) -> list[int]:
    """Send pieces with pauses; return the statuses until the connection closes."""
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    answers: list[Answer] = []
    async with asyncio.timeout(HANG_S):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            while (answer := await read_answer(reader)) is not None:
                answers.append(answer)
    writer.close()
    return [answer.status for answer in answers]


def _head(wire: Wire) -> bytes:
    """Return the head of a request that is answered before its body is received."""
    sent = [("Content-Length", str(_BODY_BYTES)), ("X-Pad", "p" * 100)]
    return wire.request("GET", "/healthz", headers=sent)


def _body(tail_bytes: int) -> tuple[bytes, bytes]:
    """Return a body in two pieces, the second of which looks like a request."""
    tail = _HIDDEN.ljust(tail_bytes, b"y")
    return b"x" * (_BODY_BYTES - tail_bytes), tail


@pytest.mark.parametrize("off", _OFF)
async def test_empty_lines_before_a_request_are_not_of_its_head(
    wire: Wire, admission: Admission, off: int
) -> None:
    head = _head(wire)
    with full(admission):
        statuses = await _in_pieces(wire, b"\r\n\r\n" + head, *_body(len(head) + off), last(wire))
    assert statuses == [200, 200]


@pytest.mark.parametrize("off", _OFF)
async def test_chunks_are_not_of_the_next_head(wire: Wire, admission: Admission, off: int) -> None:
    chunked = wire.request("GET", "/metrics", headers=[("Transfer-Encoding", "chunked")])
    head = _head(wire)
    with full(admission):
        statuses = await _in_pieces(
            wire, chunked, b"5\r\nhello\r\n0\r\n\r\n", head, *_body(len(head) + off), last(wire)
        )
    assert statuses == [200, 200, 200]


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        (b"CONNECT g:1 HTTP/1.1\r\n", 503),
        (b"GET /healthz HTTP/1.1\r\nUpgrade: websocket\r\n", 200),
    ],
)
async def test_requests_after_an_ignored_upgrade_are_located(
    wire: Wire, admission: Admission, offer: bytes, status: int
) -> None:
    head = _head(wire)
    with full(admission):
        statuses = await _in_pieces(
            wire,
            offer + b"Host: g\r\nConnection: upgrade\r\n\r\n",
            wire.request("GET", "/healthz"),
            head,
            *_body(len(head)),
            last(wire),
        )
    assert statuses == [status, 200, 200, 200]


async def test_empty_lines_are_not_buffered(wire: Wire, site: Site) -> None:
    # Each piece would be copied together with all before it, for as long as a client sends them.
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    async with asyncio.timeout(HANG_S):
        for _ in range(8):
            writer.write(b"\r\n" * 32_768)
            await writer.drain()
        await asyncio.sleep(0.05)
        (connection,) = [
            each for each in site.server.connections if isinstance(each, HttpConnection)
        ]
        assert connection._partial_head == b""
        writer.write(last(wire))
        answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 200
    writer.close()
