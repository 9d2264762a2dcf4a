"""HAProxy in front of the gateway, with the file as shipped: it rejects, the gateway works."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.errors import CannotRun
from loadtest.overload.caged_gateway import Bench, summary
from loadtest.overload.findings import TIMES, Trial
from loadtest.overload.flood import CONNECTIONS_MAX
from ops.embedded.processes import death_signal_hook
from ops.harness.ports import accepts, free_port

_FILE = Path(__file__).resolve().parents[2] / "ops" / "front" / "haproxy.cfg"
_START_S = 10.0
#: Requests in flight at one core process that has a whole core, and the part for callbacks.
_IN_FLIGHT = 512
_FOR_CALLBACKS = 128


def floods(bench: Bench) -> dict[int, list[Trial]]:
    """Offer orders through the front, each round; empty where it is not installed."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        bench.say("HAProxy is not installed: apt-get install haproxy")
        return {}
    return {times: _flood(bench, program, times) for times in TIMES}


def _flood(bench: Bench, program: str, times: int) -> list[Trial]:
    found = []
    with (
        bench.serving("act", role="core", keepalive_s="75") as core,
        _running(program, core.port, bench.options.cores) as port,
    ):
        fronted = core._replace(port=port)
        for _ in range(bench.options.rounds):
            # The capacity of the gateway itself, as in the other trials.
            capacity = bench.capacity(core)
            found.append(bench.offer(fronted, capacity, orders=times).trial)
            bench.say(f"orders at {times} x through HAProxy: {summary(found[-1])}")
            time.sleep(1.0)
    return found


@contextmanager
def _running(program: str, core_port: int, cores: float) -> Iterator[int]:
    port = free_port()
    variables = {
        "FRONT_BIND": f"127.0.0.1:{port}",
        "FRONT_METRICS_BIND": f"127.0.0.1:{free_port()}",
        "FRONT_CORE_1": f"127.0.0.1:{core_port}",
        "FRONT_QUERY_1": f"127.0.0.1:{core_port}",
        "FRONT_CORE_IN_FLIGHT_MAX": str(round(_IN_FLIGHT * cores)),
        "FRONT_CALLBACKS_KEPT": str(round(_FOR_CALLBACKS * cores)),
        "FRONT_CONNECTIONS_MAX": str(2 * CONNECTIONS_MAX),
        "FRONT_SOURCE_CONNECTIONS_MAX": str(2 * CONNECTIONS_MAX),
    }
    child = subprocess.Popen(
        [program, "-db", "-f", str(_FILE)],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=death_signal_hook(signal.SIGTERM),  # noqa: PLW1509 - its threads have ended
    )
    try:
        deadline_s = time.monotonic() + _START_S
        while not accepts(port):
            if child.poll() is not None or time.monotonic() > deadline_s:
                raise CannotRun(f"haproxy did not start: try `haproxy -c -f {_FILE.name}`")
            time.sleep(0.05)
        # It checks that the gateway is ready before it sends it any request.
        time.sleep(1.5)
        yield port
    finally:
        child.terminate()
        child.wait(10)
