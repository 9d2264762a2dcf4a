"""The flood: orders and lists leave on schedule, phase by phase; a process of its own.

    python -m loadtest.overload.flood --port 8080 --phases '[[100,10,5],[1000,10,5]]' --prefix x

Each phase is orders a second, lists a second, and seconds. Latency counts from the moment a
request was due. ``epoll`` and bare sockets: a client library would use more CPU than the gateway.
"""

import gc
import os
import select
import socket
import sys
import time
from collections import deque

import click
import msgspec

from loadtest import orders
from loadtest.overload.outcomes import Kind, Outcome, Phase

#: Beyond so many connections a request waits; after a second it counts as not placed.
CONNECTIONS_MAX = 1500
PATIENCE_S = 1.0
#: Seconds to wait for the last answers.
_GRACE_S = 2.0
_READ_BYTES = 65536
_LENGTH = b"Content-Length: "
_CLOSE = b"connection: close"
_MARK = orders.MARK.encode()
_BUCKET_S = 0.1


class _Stream:
    """Requests of one kind at a fixed rate."""

    def __init__(self, kind: Kind, rate: float, start_s: float, seconds: float) -> None:
        self.kind: Kind = kind
        self.count = round(rate * seconds)
        self.every_s = seconds / self.count if self.count else 0.0
        self.start_s = start_s
        self.sent = 0

    def next_s(self) -> float:
        if self.sent >= self.count:
            return float("inf")
        return self.start_s + self.sent * self.every_s


class _Connection:
    __slots__ = ("due_s", "kind", "phase", "received", "socket", "tries")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.due_s = 0.0
        self.kind: Kind = "order"
        self.phase = 0
        self.tries = 0


class Flood:
    """Runs the phases. Blocks; call ``go`` once."""

    def __init__(
        self,
        *,
        port: int,
        phases: list[tuple[float, float, float]],
        prefix: str,
        order_token: str,
        list_token: str,
        tries: int = 1,
    ) -> None:
        """``tries``: how often a request is sent in all when it is rejected."""
        self._port = port
        self._tries = tries
        self._phases = phases
        self._head, self._tail = _template(prefix, order_token)
        # Each requests another page: one from the response cache would be answered while shed.
        self._list = (
            "GET /v1/orders?limit=1&order_no={} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {list_token}\r\n\r\n"
        )
        self._serial = 0
        self._poll = select.epoll()
        self._busy: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._waiting: deque[tuple[Kind, float, int, int]] = deque()
        self._found = [
            Phase(
                outcomes={
                    "order": Outcome(seconds=seconds),
                    "list": Outcome(seconds=seconds),
                },
                lists_accepted=[0] * round(seconds / _BUCKET_S),
                lists_refused=[0] * round(seconds / _BUCKET_S),
            )
            for _, _, seconds in phases
        ]
        self._starts_s: list[float] = []
        self._latency_s: dict[tuple[int, Kind], list[float]] = {}

    def go(self) -> list[Phase]:
        """Send everything when it is due, wait for the last answers, return the outcomes."""
        at_s = time.monotonic() + 0.05
        for number, (order_rate, list_rate, seconds) in enumerate(self._phases):
            self._starts_s.append(at_s)
            streams = [
                _Stream("order", order_rate, at_s, seconds),
                _Stream("list", list_rate, at_s, seconds),
            ]
            at_s += seconds
            self._run(number, streams, at_s)
        until_s = at_s + _GRACE_S
        while (self._busy or self._waiting) and time.monotonic() < until_s:
            self._place()
            self._receive(0.05)
        for kind, _, phase, _ in self._waiting:
            self._found[phase].outcomes[kind].not_placed += 1
        for connection in self._busy.values():
            self._found[connection.phase].outcomes[connection.kind].unanswered += 1
        for (phase, kind), latencies in self._latency_s.items():
            self._found[phase].outcomes[kind].summarise(latencies)
        return self._found

    def _run(self, phase: int, streams: list[_Stream], end_s: float) -> None:
        while True:
            now_s = time.monotonic()
            for stream in streams:
                outcome = self._found[phase].outcomes[stream.kind]
                while (due_s := stream.next_s()) <= now_s:
                    stream.sent += 1
                    outcome.due += 1
                    self._waiting.append((stream.kind, due_s, phase, 1))
            self._place()
            following_s = min(end_s, *(stream.next_s() for stream in streams))
            if following_s >= end_s and now_s >= end_s:
                return
            self._receive(max(0.0, following_s - time.monotonic()))

    def _place(self) -> None:
        waiting, now_s = self._waiting, time.monotonic()
        while waiting:
            kind, due_s, phase, tries = waiting[0]
            if now_s - due_s > PATIENCE_S:
                waiting.popleft()
                self._found[phase].outcomes[kind].not_placed += 1
                continue
            connection = self._free()
            if connection is None:
                return
            waiting.popleft()
            connection.kind, connection.due_s, connection.phase = kind, due_s, phase
            connection.tries = tries
            try:
                connection.socket.send(self._request(kind))
            except OSError:
                # Closed while it was idle: nothing was accepted.
                connection.socket.close()
                waiting.appendleft((kind, due_s, phase, tries))
                continue
            self._busy[connection.socket.fileno()] = connection

    def _free(self) -> _Connection | None:
        if self._idle:
            return self._idle.pop()
        if len(self._busy) >= CONNECTIONS_MAX:
            return None
        try:
            connection = _Connection(self._port)
        except OSError:
            return None
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        return connection

    def _request(self, kind: Kind) -> bytes:
        self._serial += 1
        if kind == "list":
            return self._list.format(self._serial).encode()
        return self._head + self._tail.replace(_MARK, b"%08d" % self._serial)

    def _receive(self, wait_s: float) -> None:
        for number, _ in self._poll.poll(wait_s, 512):
            connection = self._busy.get(number)
            if connection is None:
                self._idle = [c for c in self._idle if not self._is_closed(c, number)]
                continue
            try:
                chunk = connection.socket.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                chunk = b""
            if not chunk:
                del self._busy[number]
                connection.socket.close()
                self._found[connection.phase].outcomes[connection.kind].unanswered += 1
                continue
            received = connection.received + chunk if connection.received else chunk
            end = received.find(b"\r\n\r\n")
            if end < 0:
                connection.received = received
                continue
            length = _length(received[:end])
            if len(received) < end + 4 + length:
                connection.received = received
                continue
            connection.received = b""
            self._answered(connection, int(received[9:12]))
            del self._busy[number]
            if _CLOSE in received[:end].lower():
                connection.socket.close()
            else:
                self._idle.append(connection)

    def _is_closed(self, connection: _Connection, number: int) -> bool:
        if connection.socket.fileno() != number:
            return False
        connection.socket.close()
        return True

    def _answered(self, connection: _Connection, status: int) -> None:
        phase, kind = connection.phase, connection.kind
        outcome = self._found[phase].outcomes[kind]
        is_good = 200 <= status < 300
        if is_good:
            took_s = time.monotonic() - connection.due_s
            outcome.accepted += 1
            outcome.good += took_s <= PATIENCE_S
            self._latency_s.setdefault((phase, kind), []).append(took_s)
        elif status == 503 and connection.tries < self._tries:
            outcome.retried += 1
            self._waiting.append((kind, time.monotonic(), phase, connection.tries + 1))
        elif status == 503:
            outcome.refused += 1
        else:
            outcome.other += 1
        if kind == "list":
            found = self._found[phase]
            buckets = found.lists_accepted if is_good else found.lists_refused
            bucket = int((connection.due_s - self._starts_s[phase]) / _BUCKET_S)
            buckets[min(bucket, len(buckets) - 1)] += 1


def _length(head: bytes) -> int:
    """Return the length of the body; the header's name may have any case."""
    at = head.find(_LENGTH)
    if at < 0:
        at = head.lower().find(_LENGTH.lower())
    if at < 0:
        return 0
    end = head.find(b"\r", at)
    return int(head[at + len(_LENGTH) : end if end >= 0 else None])


def closed(flood: Flood, *, connections: int, seconds: float) -> float:
    """Keep so many orders in flight; return the 2xx a second: the capacity of the gateway."""
    flood._starts_s.append(time.monotonic())
    until_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < until_s:
        while len(flood._busy) + len(flood._waiting) < connections:
            flood._waiting.append(("order", now_s, 0, 1))
        flood._place()
        flood._receive(0.01)
    return flood._found[0].outcomes["order"].accepted / seconds


def _template(prefix: str, token: str) -> tuple[bytes, bytes]:
    # The serial number is in the order's and the buyer's number: no two orders are alike.
    body = orders.template(0, prefix)
    head = (
        "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--phases", default="[]", help="JSON: [[orders/s, lists/s, seconds], …]")
@click.option("--closed", "connections", type=int, default=0, help="Closed loop instead.")
@click.option("--seconds", type=float, default=4.0, help="Length of the closed loop.")
@click.option("--tries", type=int, default=1, help="How often to send a rejected request, in all.")
@click.option("--leave-core", type=int, help="Leave this core to the gateway.")
@click.option("--prefix", required=True, help="Must be new for every run against one service.")
@click.option("--order-token", envvar="FLOOD_ORDER_TOKEN", default="")
@click.option("--list-token", envvar="FLOOD_LIST_TOKEN", default="")
def main(
    port: int,
    phases: str,
    connections: int,
    seconds: float,
    tries: int,
    leave_core: int | None,
    prefix: str,
    order_token: str,
    list_token: str,
) -> None:
    """Send orders and lists at fixed rates and print the outcomes as JSON."""
    planned: list[tuple[float, float, float]] = msgspec.json.decode(
        phases, type=list[tuple[float, float, float]]
    )
    flood = Flood(
        port=port,
        phases=[(0.0, 0.0, seconds)] if connections else planned,
        prefix=prefix,
        order_token=order_token,
        list_token=list_token,
        tries=tries,
    )
    if leave_core is not None:
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {leave_core})
    gc.disable()  # a collection in mid-run would be measured as the gateway's latency
    if connections:
        rate = closed(flood, connections=connections, seconds=seconds)
        sys.stdout.buffer.write(msgspec.json.encode(rate) + b"\n")
        return
    sys.stdout.buffer.write(msgspec.json.encode(flood.go()) + b"\n")


if __name__ == "__main__":
    main()
