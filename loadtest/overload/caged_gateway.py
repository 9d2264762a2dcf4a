"""A gateway limited to a part of a core, the load offered to it, and the outcome.

The speed of a shared machine varies: 0.7 of the capacity of half an hour ago was measured to be all
of it. So the capacity is measured again right before each trial.
"""

import contextlib
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import NamedTuple

import msgspec

from loadtest.bench import contenders, cpu, databases, processes, servers
from loadtest.errors import CannotRun, translated
from loadtest.overload import cpu_quota
from loadtest.overload.findings import Trial
from loadtest.overload.outcomes import Outcome, Phase
from ops.harness import environment, first_start

Say = Callable[[str], None]

#: Connections of the closed loop that measures the capacity: enough to keep the gateway busy, and
#: below its concurrency limit.
_PROBE_CONNECTIONS = 64
#: The capacity is the median of so many of the last probes.
_PROBES = 3
#: The part of the capacity that is orders where the rest is lists.
CORE_SHARE = 0.6
WARM_UP_S = 3.0
LISTS_PER_S = 20.0
#: The least number of samples of the load for a judgement.
_SAMPLES_MIN = 16
#: Seconds until tiers that a probe caused to be shed are admitted again.
REST_S = 30.0


class Options(NamedTuple):
    """The options of the command."""

    cores: float
    seconds: int
    rounds: int
    quiet_s: int


class CagedGateway(NamedTuple):
    """A gateway, or a server in its place, that is limited to a part of a core."""

    pid: int
    port: int


class Flooded(NamedTuple):
    """A flood of orders, and the CPU it took."""

    trial: Trial
    warm_up: Outcome
    cpu_s: float

    def rejection_s(self, accept_s: float) -> float:
        """Return the CPU seconds of a rejection: what the accepted orders did not use."""
        found = self.trial.orders
        accepted = self.warm_up.accepted + found.accepted
        return (self.cpu_s - accept_s * accepted) / (self.warm_up.refused + found.refused)


@contextmanager
def prepared(options: Options, say: Say) -> Iterator["Bench"]:
    """Yield a bench with servers of its own. Raises ``CannotRun``; what was started is stopped."""
    if len(os.sched_getaffinity(0)) < 2:
        raise CannotRun("two cores are needed: one for the gateway, one for the flood")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-")))
        say("starting PostgreSQL and Valkey (a temporary directory, fsync on)")
        addresses = stack.enter_context(servers.running(replica=False))
        tidegate = contenders.prepare("tidegate", addresses, scratch)
        with translated():
            lists = first_start.create_api_key(
                processes.tidegate(tidegate.environment), name="lists", roles=["query"]
            )
        keys = {"FLOOD_ORDER_TOKEN": tidegate.token, "FLOOD_LIST_TOKEN": lists}
        # A worker drains what a flood drove into the journal, as in production: an old journal is
        # load, and would cause rejections in the next measurement.
        working = processes.working(
            "ops.cli", ("work",), tidegate.environment, scratch / "worker.log"
        )
        stack.enter_context(working)
        yield Bench(options, tidegate, keys, addresses.admin_url, scratch, say)


class Bench:
    """Runs gateways with a CPU quota, and offers them orders and lists."""

    def __init__(
        self,
        options: Options,
        contender: contenders.Contender,
        keys: dict[str, str],
        admin_url: str,
        scratch: Path,
        say: Say,
    ) -> None:
        self.options = options
        self.say = say
        #: Orders a second in a closed loop, one per probe; not of controls.
        self.probes: list[float] = []
        # The last probes of the gateway that runs now.
        self._recent: list[float] = []
        self._contender = contender
        self._keys = keys
        self._admin_url = admin_url
        self._log = scratch / "gateway.log"
        self._core = min(os.sched_getaffinity(0))
        self._runs = 0
        self._is_control = False

    @contextmanager
    def serving(self, shedding: str, control: str = "", **settings: str) -> Iterator[CagedGateway]:
        """Yield a warm gateway with a CPU quota; ``control``: the fault to plant in it."""
        databases.checkpoint(self._admin_url)
        self._recent = []
        self._is_control = bool(control) or shedding != "act"
        given = environment.settings(shedding=shedding, **settings)
        variables = {**self._contender.environment, **given}
        # Named, not imported: the load test reaches the gateway from outside only.
        module, which = ("tests.overload_controls", (control,)) if control else ("ops.cli", ())
        with self.caged(module, (*which, "serve"), variables) as gateway:
            if settings.get("role") != "query":
                # A warm-up: a cold process is slower.
                self._closed_loop(gateway, 4.0)
            yield gateway

    @contextmanager
    def caged(
        self, module: str, arguments: tuple[str, ...], variables: dict[str, str]
    ) -> Iterator[CagedGateway]:
        """Yield a server of orders, limited to its part of a core."""
        with processes.serving(module, arguments, variables, self._log) as running:
            os.sched_setaffinity(running.pid, {self._core})
            with cpu_quota.limited(running.pid, self.options.cores):
                yield CagedGateway(running.pid, running.port)

    def capacity(self, gateway: CagedGateway) -> float:
        """Probe the gateway; return the median of the last probes, in orders a second."""
        found = self._closed_loop(gateway, 4.0)
        self._recent = [*self._recent, found][-_PROBES:]
        if not self._is_control:
            self.probes.append(found)
        return median(self._recent)

    def accept_cpu_s(self, gateway: CagedGateway) -> float:
        """Return the CPU seconds of an accepted order, at the capacity, where batches are full."""
        seconds = 4.0
        before = cpu.usage(gateway.pid)
        accepted = seconds * self._closed_loop(gateway, seconds)
        return cpu.usage(gateway.pid).since(before).service_s / accepted

    def phases(
        self, gateway: CagedGateway, phases: list[tuple[float, float, float]], *, tries: int = 1
    ) -> list[Phase]:
        """Offer (orders/s, lists/s, seconds), one after the other; return the outcomes.

        ``tries``: how often a request is sent in all while it is rejected.
        """
        arguments = ("--phases", msgspec.json.encode(phases).decode(), "--tries", str(tries))
        return msgspec.json.decode(self._flood(gateway, *arguments), type=list[Phase])

    def offer(
        self, gateway: CagedGateway, capacity: float, *, orders: float, lists: float = 0.0
    ) -> Flooded:
        """Offer multiples of this capacity; return the outcome of the orders, and the CPU time."""
        before = cpu.usage(gateway.pid)
        rates, seconds = (orders * capacity, lists * capacity), float(self.options.seconds)
        found = self.phases(gateway, [(*rates, WARM_UP_S), (*rates, seconds)])
        warm_up, outcome = [phase.outcomes["order"] for phase in found]
        used_s = cpu.usage(gateway.pid).since(before).service_s
        return Flooded(Trial(capacity, outcome), warm_up, used_s)

    def rest(
        self, gateway: CagedGateway, capacity: float, *, orders: float, seconds: float
    ) -> None:
        """Offer a low load, so that the waiting orders are committed and the load falls."""
        self.phases(gateway, [(orders * capacity, 0.0, seconds)])

    def quiet(self, gateway: CagedGateway) -> Phase:
        """Offer 0.7 of the capacity, of which a few are lists; none may be rejected."""
        orders = 0.7 * self.capacity(gateway) - LISTS_PER_S
        rest = (0.3 * orders, 0.0, REST_S)
        return self.phases(gateway, [rest, (orders, LISTS_PER_S, self.options.quiet_s)])[1]

    def sample_load(self, gateway: CagedGateway, share: float) -> list[float]:
        """Return the load, read four times a second while a share of the capacity is offered.

        The first six seconds are omitted. Raises ``CannotRun`` for too few samples.
        """
        capacity = self.capacity(gateway)
        self.rest(gateway, capacity, orders=0.3, seconds=REST_S)
        samples: list[float] = []
        ending = Event()

        def sample() -> None:
            ending.wait(6.0)
            while not ending.wait(0.25):
                with contextlib.suppress(OSError):
                    samples.append(_load(gateway.port))

        sampling = Thread(target=sample)
        sampling.start()
        try:
            self.phases(gateway, [(share * capacity, 0.0, 15.0)])
        finally:
            ending.set()
            sampling.join()
        if len(samples) < _SAMPLES_MIN:
            raise CannotRun(f"the load was read {len(samples)} times, too few to judge it")
        # The flood ends before its process does.
        return samples[:-2]

    def logged(self) -> "Logged":
        """Return the gateways' log from now on."""
        return Logged(self._log)

    def _closed_loop(self, gateway: CagedGateway, seconds: float) -> float:
        arguments = ("--closed", str(_PROBE_CONNECTIONS), "--seconds", str(seconds))
        rate: float = msgspec.json.decode(self._flood(gateway, *arguments))
        return rate

    def _flood(self, gateway: CagedGateway, *arguments: str) -> bytes:
        self._runs += 1
        common = ["--port", str(gateway.port), "--leave-core", str(self._core)]
        common += ["--prefix", f"f{self._runs:03d}"]
        return processes.run("loadtest.overload.flood", [*common, *arguments], self._keys).encode()


class Logged:
    """The part of a log that was written after this object was made."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size

    def count(self, pattern: str) -> int:
        """Return the number of matches of a regular expression so far."""
        return len(re.findall(pattern, self._log.read_bytes()[self._from :].decode()))


def _load(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        shown = response.read().decode()
    return max(float(value) for value in re.findall(r"^tidegate_load\{.*\} (\S+)$", shown, re.M))


def summary(trial: Trial) -> str:
    """Return one line about the outcome of a flood."""
    found = trial.orders
    return (
        f"{trial.goodput:.0%} of {trial.capacity:,.0f}/s, p99 {found.p99_ms:.0f} ms, "
        f"rejected {found.refused}, unanswered {found.unanswered}, not placed {found.not_placed}"
    )
