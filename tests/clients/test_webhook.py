"""Webhooks to real servers: a 2xx is a delivery, and whatever else a server does is not."""

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from gateway.clients import webhook_signing
from gateway.clients.webhook import WebhookSender
from gateway.domain.handoff import SendResult
from gateway.runtime.clock import SystemClock
from tests.support.fakes.clock import ManualClock
from tests.support.messages import outbound
from tests.support.patience import HANG_S

SECRET = webhook_signing.new_secret(os.urandom)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
Write = Callable[["Target", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Target:
    """A server that does with each message what ``behave`` does, or answers with ``answer``."""

    answer: bytes = OK
    behave: Write | None = None
    url: str = ""
    messages: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                line, *lines = head.strip().split("\r\n")
                headers = dict(each.split(": ", 1) for each in lines)
                self.messages.append((line, headers, body))
                if self.behave is None:
                    writer.write(self.answer)
                else:
                    await self.behave(self, reader, writer)
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=b%3Ac"
    yield made
    server.close()


@asynccontextmanager
async def sender(url: str, **changes: Any) -> AsyncIterator[WebhookSender]:
    options: dict[str, Any] = {
        "secrets": [SECRET],
        "call_s": HANG_S,
        "in_flight_max": 4,
        "allowed": ["127.0.0.0/8"],
        "clock": SystemClock(),
    }
    made = WebhookSender(url=url, **{**options, **changes})
    yield made
    await made.close()


async def sent(target: Target, **changes: Any) -> SendResult:
    async with sender(target.url, **changes) as made, asyncio.timeout(HANG_S):
        return await made.send(outbound())


async def test_a_delivery(target: Target) -> None:
    """The official library verifies what the target got, to the letter of its path."""
    async with sender(target.url, headers={"Authorization": "Bearer x"}) as made:
        event = outbound(body='{"type":"order.paid","data":{"name":"早"}}'.encode())
        assert await made.send(event) == SendResult("delivered", 200)
    line, headers, body = target.messages[0]
    assert line == "POST /hook?a=b%3Ac HTTP/1.1" and body == event.body
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["webhook-id"] == str(event.event_id) and lower["authorization"] == "Bearer x"
    assert lower["content-type"] == "application/json" and "cookie" not in lower
    assert not [name for name in lower if name.startswith("svix-")]
    assert standardwebhooks.Webhook(SECRET).verify(body, headers) == {
        "type": "order.paid",
        "data": {"name": "早"},
    }


async def test_each_attempt_has_the_same_id_and_its_own_time(target: Target) -> None:
    clock = ManualClock()
    event = outbound()
    async with sender(target.url, clock=clock) as made:
        await made.send(event)
        clock.at_s += 1000
        await made.send(event)
    first, second = (headers for _, headers, _ in target.messages)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 1000
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_what_is_a_delivery(target: Target, answer: bytes) -> None:
    """Frameworks say ``text/html`` of an ``ok``: what counts is whether it is a page."""
    target.answer = answer
    assert (await sent(target)).outcome == "delivered"


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", 302, "redirect"),
        (b"HTTP/1.1 308 X\r\nLocation: https://a/\r\nContent-Length: 0\r\n\r\n", 308, "redirect"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", 304, "redirect"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400, "malformed"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "our secret"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 999999\r\n\r\n", 404, "nothing at this path"),
        (b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 100_000, 500, "^answered 500$"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n\xef\xbb\xbf\n<!DOCTYPE html", 200, "page"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000, None,
         "more than 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000_000, None, "more than 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", None,
         "compressed"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", None, "switched"),
        (b"hello\r\n\r\n", None, "not HTTP"),
    ],
)  # fmt: skip
async def test_what_is_no_delivery(
    target: Target, answer: bytes, status: int | None, why: str
) -> None:
    target.answer = answer
    result = await sent(target)
    assert (result.outcome, result.status_code) == ("failed", status)
    assert re.search(why, result.reason) and result.retry_after_s is None


async def test_gone(target: Target) -> None:
    target.answer = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    result = await sent(target)
    assert (result.outcome, result.status_code) == ("gone", 410)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("999999999999", 86400.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("", None),
        (timedelta(seconds=90), 90.0),
        (timedelta(days=-1), 0.0),
        (timedelta(days=30), 86400.0),
        ("Fri, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
async def test_what_it_asks_to_wait(
    target: Target, status: int, retry_after: str | timedelta, expected: float | None
) -> None:
    """In seconds or as a date, a day at most; what cannot be read says nothing."""
    clock = ManualClock()
    if isinstance(retry_after, timedelta):
        clock.at = clock.at.replace(microsecond=0)
        retry_after = format_datetime(clock.now() + retry_after, usegmt=True)
    head = f"HTTP/1.1 {status} X\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n"
    target.answer = head.encode()
    assert (await sent(target, clock=clock)).retry_after_s == expected


async def test_only_an_answer_of_that_kind_may_ask_to_wait(target: Target) -> None:
    target.answer = b"HTTP/1.1 500 X\r\nRetry-After: 99\r\nContent-Length: 0\r\n\r\n"
    assert (await sent(target)).retry_after_s is None


async def _late(_: Target, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.6)
    writer.write(OK)
    await writer.drain()


async def _trickle(_: Target, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _half(_: Target, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    await writer.drain()


async def _reset(_: Target, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (_late, "no complete answer within 0.3 s"),
        (_trickle, "no complete answer within 0.3 s"),
        (_half, "in the middle of its answer"),
        (_reset, "closed the connection without an answer"),
    ],
)
async def test_no_server_keeps_the_sender_longer_than_its_deadline(
    target: Target, behave: Write, why: str
) -> None:
    target.behave = behave
    began_s = time.monotonic()
    result = await sent(target, call_s=0.3)
    assert (result.outcome, result.status_code) == ("failed", None)
    assert why in result.reason
    # Seconds of a busy machine, and no minutes of a server.
    assert time.monotonic() - began_s < HANG_S / 2


async def test_nobody_there_and_a_wrong_certificate(target: Target, pem: Path) -> None:
    async with sender("http://127.0.0.1:1/") as made:
        result = await made.send(outbound())
        assert (result.outcome, "refused" in result.reason) == ("failed", True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    async with sender(url) as made:
        assert "certificate is not valid" in (await made.send(outbound())).reason
    trusting = ssl.create_default_context(cafile=str(pem))
    async with sender(url, tls=trusting) as made:
        assert (await made.send(outbound())).outcome == "delivered"
    server.close()


@pytest.mark.parametrize("allowed", [["10.0.0.0/8"], ["wms.internal"]])
async def test_a_private_address_that_is_not_allowed(
    target: Target, allowed: Sequence[str]
) -> None:
    result = await sent(target, allowed=allowed)
    assert (result.outcome, result.reason) == ("failed", "the address is not public")
    assert not target.messages


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"url": "http://wms.example/hook", "allowed": []}, "use https"),
        ({"url": "https://u:p@wms.example/"}, "user name"),
        ({"url": "https://2130706433/"}, "usual form"),
        ({"secrets": ["s3cret"]}, "begins neither"),
        ({"allowed": ["10.0.0.1/8"]}, "no network"),
        ({"headers": {"X": "a\nb"}}, "malformed"),
    ],
)
def test_what_is_wrong_with_a_target_is_said_at_start(changes: dict[str, Any], why: str) -> None:
    options: dict[str, Any] = {
        "url": "https://wms.example/",
        "secrets": [SECRET],
        "call_s": 1.0,
        "in_flight_max": 1,
        "allowed": ["10.0.0.0/8"],
        "clock": SystemClock(),
    }
    with pytest.raises(ValueError, match=why):
        WebhookSender(**{**options, **changes})
