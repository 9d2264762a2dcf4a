"""A warehouse that answers at once: the fastest receiver there is, in a process of its own.

    python -m loadtest.handoff.receiver --port 8099 [--keep]

It supports just enough HTTP to take signed POSTs with a Content-Length over kept connections, and
records when each came. ``GET /received`` says how many came and when, ``GET /deliveries`` what they
were, ``POST /forget`` begins anew. Times are of the monotonic clock, which all processes of a
machine share.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from typing import cast

import click
import msgspec
import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_ID = b"\r\nwebhook-id:"
_ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Received(msgspec.Struct):
    """How many requests came since the last ``POST /forget``; moments in seconds."""

    count: int = 0
    first_s: float = 0.0
    last_s: float = 0.0


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """One request: when it was complete, its id, and its body."""

    at_s: float
    id: str
    body: str


class Ledger:
    """What came; with ``is_keeping`` every body too."""

    def __init__(self, *, is_keeping: bool) -> None:
        self._is_keeping = is_keeping
        self.received = Received()
        self.kept: list[tuple[float, bytes, bytes]] = []

    def take(self, id_: bytes, body: bytes) -> None:
        """Record one request."""
        now_s = time.monotonic()
        received = self.received
        received.count += 1
        received.last_s = now_s
        received.first_s = received.first_s or now_s
        if self._is_keeping:
            self.kept.append((now_s, id_, body))

    def forget(self) -> None:
        """Begin anew."""
        self.received = Received()
        self.kept.clear()

    def deliveries(self) -> bytes:
        """Return what was kept, as JSON."""
        return msgspec.json.encode(
            [Delivery(at_s, id_.decode(), body.decode()) for at_s, id_, body in self.kept]
        )


class Connection(asyncio.Protocol):
    """One kept connection: requests one after the other, answered in order."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # uvloop's transport does not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        assert self._transport is not None
        self._received = self._received + data if self._received else data
        while self._received:
            end = self._received.find(_HEAD_END)
            if end < 0:
                return
            head = self._received[:end]
            low = head.lower()
            size = int(_value(low, low, _LENGTH) or 0)
            start = end + len(_HEAD_END)
            if len(self._received) < start + size:
                return
            body = self._received[start : start + size]
            self._received = self._received[start + size :]
            self._transport.write(self._answer(head, low, body))

    def _answer(self, head: bytes, low: bytes, body: bytes) -> bytes:
        if id_ := _value(head, low, _ID):
            self._ledger.take(id_, body)
            return _ACCEPTED
        if head.startswith(b"GET /received"):
            return _json(msgspec.json.encode(self._ledger.received))
        if head.startswith(b"GET /deliveries"):
            return _json(self._ledger.deliveries())
        if head.startswith(b"POST /forget"):
            self._ledger.forget()
        return _ACCEPTED


def _value(head: bytes, low: bytes, name: bytes) -> bytes:
    at = low.find(name)
    if at < 0:
        return b""
    start = at + len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def _json(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def _serve(make: Callable[[], asyncio.Protocol], host: str, port: int) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await loop.create_server(make, host, port, backlog=1024)
    await stopping.wait()
    server.close()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option("--keep", "is_keeping", is_flag=True, help="Keep every body, for /deliveries.")
def main(host: str, port: int, is_keeping: bool) -> None:
    """Receive until SIGTERM or Ctrl-C."""
    ledger = Ledger(is_keeping=is_keeping)
    gc.disable()  # a collection in mid-run would be measured as the sender's latency
    uvloop.run(_serve(lambda: Connection(ledger), host, port))


if __name__ == "__main__":
    main()
