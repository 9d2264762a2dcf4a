"""The open workload: orders leave on schedule, whether or not earlier ones are answered.

    python -m loadtest.bench.open_loop_generator --port 8080 --rate 200 --seconds 10 --prefix o1

Arrivals are evenly spaced. Latency counts from the moment an order was *due*, so that it includes
the wait for a free connection behind a slow answer (no coordinated omission). A process of its
own, so that no other work delays the schedule; ``select`` and not an event loop, because uvloop's
timers tick in whole milliseconds, as long as the latencies that are measured.
"""

import gc
import select
import sys
import time
from collections import deque

import click
import msgspec

from loadtest import orders
from loadtest.bench.connection import Connection, HungUp

#: Beyond so many orders in flight the next one waits, and is late.
CONNECTIONS_MAX = 256
#: Seconds to wait for the last answers.
GRACE_S = 5.0


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an open run. Times in milliseconds, from the scheduled moment."""

    rate: float
    seconds: float
    due: int
    #: Answered with a 2xx.
    accepted: int
    not_2xx: int
    #: Sent, but the connection was closed or nothing came back in time.
    unanswered: int
    #: Never sent: no connection became free.
    not_placed: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    #: How late the generator itself sent: above a millisecond it, not the service, was slow.
    sent_late_p99_ms: float


class Run:
    """One open run against one service. Blocks; call ``go`` once."""

    def __init__(self, *, port: int, requests: list[bytes], rate: float) -> None:
        self._port = port
        self._requests = requests
        self._rate = rate
        self._idle: list[Connection] = []
        self._busy: dict[int, Connection] = {}
        self._waiting: deque[int] = deque()
        self._latency_s: list[float] = []
        self._late_s: list[float] = []
        self._not_2xx = 0
        self._hung_up = 0
        #: When each request was answered with a 2xx, on the monotonic clock.
        self.accepted_s: dict[int, float] = {}

    def go(self) -> Latencies:
        """Send everything when it is due, wait for the last answers, return the figures."""
        start = time.monotonic() + 0.05
        due = [start + n / self._rate for n in range(len(self._requests))]
        following = 0
        while following < len(due) or self._waiting or self._busy:
            now = time.monotonic()
            if now > due[-1] + GRACE_S:
                break
            while following < len(due) and due[following] <= now:
                self._waiting.append(following)
                following += 1
            self._send_waiting(due)
            until = due[following] if following < len(due) else due[-1] + GRACE_S
            self._receive(due, until)
        return self._result()

    def _send_waiting(self, due: list[float]) -> None:
        while self._waiting and (connection := self._free_connection()):
            number = self._waiting.popleft()
            try:
                connection.send(number, self._requests[number])
            except HungUp:
                # A keep-alive connection that the service closed while idle: nothing was accepted.
                connection.close()
                self._waiting.appendleft(number)
                continue
            self._busy[connection.fileno()] = connection
            self._late_s.append(time.monotonic() - due[number])

    def _free_connection(self) -> Connection | None:
        # The last used one first, as a client's pool does; the others may be closed as idle.
        if self._idle:
            return self._idle.pop()
        return Connection(self._port) if len(self._busy) < CONNECTIONS_MAX else None

    def _receive(self, due: list[float], until: float) -> None:
        wait_s = max(0.0, until - time.monotonic())
        watched = [*self._busy.values(), *self._idle]
        for connection in select.select(watched, (), (), wait_s)[0]:
            if connection.fileno() in self._busy:
                self._answer(connection, due)
            else:
                self._idle.remove(connection)
                connection.close()

    def _answer(self, connection: Connection, due: list[float]) -> None:
        try:
            answer = connection.receive()
        except HungUp:
            self._hung_up += 1
            del self._busy[connection.fileno()]
            connection.close()
            return
        if answer is None:
            return
        del self._busy[connection.fileno()]
        if 200 <= answer.status < 300:
            self.accepted_s[answer.number] = now_s = time.monotonic()
            self._latency_s.append(now_s - due[answer.number])
        else:
            self._not_2xx += 1
        if answer.keep_alive:
            self._idle.append(connection)
        else:
            connection.close()

    def _result(self) -> Latencies:
        latency, late = sorted(self._latency_s), sorted(self._late_s)
        return Latencies(
            rate=self._rate,
            seconds=len(self._requests) / self._rate,
            due=len(self._requests),
            accepted=len(latency),
            not_2xx=self._not_2xx,
            unanswered=self._hung_up + len(self._busy),
            not_placed=len(self._waiting),
            p50_ms=_percentile_ms(latency, 0.50),
            p99_ms=_percentile_ms(latency, 0.99),
            max_ms=_percentile_ms(latency, 1.0),
            sent_late_p99_ms=_percentile_ms(late, 0.99),
        )


def _percentile_ms(sorted_s: list[float], fraction: float) -> float:
    if not sorted_s:
        return float("nan")
    return round(1e3 * sorted_s[min(len(sorted_s) - 1, int(fraction * len(sorted_s)))], 3)


def _requests(count: int, token: str, prefix: str) -> list[bytes]:
    head = (
        "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: "
    ).encode()
    bodies = (orders.order_bytes(n, prefix) for n in range(count))
    return [b"%b%d\r\n\r\n%b" % (head, len(body), body) for body in bodies]


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--rate", type=float, required=True, help="Orders per second.")
@click.option("--seconds", type=float, required=True)
@click.option("--token", envvar="BENCH_TOKEN", default="")
@click.option("--prefix", required=True, help="Must be new for every run against one service.")
def main(port: int, rate: float, seconds: float, token: str, prefix: str) -> None:
    """Send distinct orders at a fixed rate and print the latencies as JSON."""
    run = Run(port=port, requests=_requests(round(rate * seconds), token, prefix), rate=rate)
    gc.disable()  # a collection in mid-run would be measured as the service's latency
    sys.stdout.buffer.write(msgspec.json.encode(run.go()) + b"\n")


if __name__ == "__main__":
    main()
