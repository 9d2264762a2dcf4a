"""The closed workload: wrk with a script that never sends the same order twice."""

import shutil
import signal
import subprocess
from pathlib import Path

import msgspec

from loadtest import orders
from loadtest.errors import CannotRun
from ops.embedded.processes import death_signal_hook

HOW_TO_GET_IT = (
    "the benchmark drives the services with wrk, which is not installed.\n"
    "  Debian, Ubuntu:  apt-get install wrk\n"
    "  Fedora:          dnf install wrk"
)
_SCRIPT = Path(__file__).with_name("orders.lua")
_MARK = "WRK "


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of wrk. ``timeouts`` are slow answers, also counted in ``answered``."""

    answered: int
    not_2xx: int
    socket_errors: int
    timeouts: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def accepted(self) -> int:
        """How many orders were answered with a 2xx."""
        return self.answered - self.not_2xx


def require() -> None:
    """Raise ``CannotRun`` when wrk is not installed."""
    if shutil.which("wrk") is None:
        raise CannotRun(HOW_TO_GET_IT)


def drive(
    port: int, *, token: str, prefix: str, seconds: int, connections: int, scratch: Path
) -> Tally:
    """Send distinct orders over ``connections`` for ``seconds``; block until it is over.

    When wrk stops it disconnects at once: up to ``connections`` orders are then in flight and may
    be stored without being counted.
    """
    templates = scratch / "templates.jsonl"
    lines = (orders.template(shape, prefix) for shape in range(orders.SHAPES))
    templates.write_bytes(b"".join(line + b"\n" for line in lines))
    url = f"http://127.0.0.1:{port}/v1/orders"
    load = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    script = ["-s", str(_SCRIPT), "-H", f"Authorization: Bearer {token}", url, "--", str(templates)]
    done = subprocess.run(
        ["wrk", *load, *script],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=death_signal_hook(signal.SIGTERM),
    )
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return msgspec.json.decode(line.removeprefix(_MARK), type=Tally)
    raise CannotRun(f"wrk printed no result:\n{done.stdout}{done.stderr}")
