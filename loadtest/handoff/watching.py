"""The receiver as a driver sees it, and the CPU time of a worker until all has come."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from loadtest.bench import cpu, processes
from loadtest.errors import CannotRun
from loadtest.handoff.receiver import Delivery, Received

_POLL_INTERVAL_S = 0.05
#: Seconds without a single delivery after which nothing more is awaited.
_STALLED_S = 30.0


class Warehouse:
    """A running receiver: where it listens, and what it has received."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = f"http://127.0.0.1:{port}/hand-off"

    def received(self) -> Received:
        """Return how many requests came, and when."""
        return msgspec.json.decode(self._ask("GET", "/received"), type=Received)

    def deliveries(self) -> list[Delivery]:
        """Return everything that came; only of a receiver that keeps it."""
        return msgspec.json.decode(self._ask("GET", "/deliveries"), type=list[Delivery])

    def forget(self) -> None:
        """Begin anew."""
        self._ask("POST", "/forget")

    def wait_for(self, count: int, *, stalled_s: float = _STALLED_S) -> Received:
        """Return once so many requests came. Raises ``CannotRun`` when no more come."""
        before, since_s = -1, time.monotonic()
        while (received := self.received()).count < count:
            if received.count > before:
                before, since_s = received.count, time.monotonic()
            elif time.monotonic() - since_s > stalled_s:
                raise CannotRun(
                    f"{received.count:,} of {count:,} deliveries came, and none for {stalled_s:g} s"
                )
            time.sleep(_POLL_INTERVAL_S)
        return received

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException) as problem:
            raise CannotRun(f"the receiver does not answer: {problem}") from None
        finally:
            connection.close()


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run; CPU in microseconds per delivery."""

    deliveries: int
    deliveries_per_s: float
    worker_cpu_us: float
    postgres_cpu_us: float
    valkey_cpu_us: float
    #: Cores that processes outside the benchmark kept busy meanwhile: noise.
    others_cores: float


@contextmanager
def receiving(scratch: Path, *, is_keeping: bool = False) -> Iterator[Warehouse]:
    """Run a receiver until the block ends."""
    options = ["--keep"] if is_keeping else []
    log = scratch / "receiver.log"
    with processes.serving("loadtest.handoff.receiver", options, {}, log) as running:
        yield Warehouse(running.port)


def speed(count: int, received: Received, used: cpu.Usage, *, began_s: float) -> Speed:
    """Return the figures of ``count`` deliveries that could begin at ``began_s``."""
    took_s = received.last_s - began_s

    def each_us(seconds: float) -> float:
        return 1e6 * seconds / count

    return Speed(
        deliveries=count,
        deliveries_per_s=count / took_s,
        worker_cpu_us=each_us(used.service_s),
        postgres_cpu_us=each_us(used.postgres_s),
        valkey_cpu_us=each_us(used.valkey_s),
        others_cores=used.others_s / took_s,
    )
