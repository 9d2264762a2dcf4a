"""A gateway held to a part of a core, the load offered to it, and the outcome.

A shared machine is not the same all the time: 0.7 of the capacity of half an hour ago was measured
to be all of it. So the capacity is found anew right before each trial.
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

#: Connections of the closed loop that finds the capacity: enough to keep the gateway busy, and
#: fewer than it has slots.
_PROBE_CONNECTIONS = 64
#: So many of the last probes say together what the capacity is now.
_PROBES = 3
#: The part of the capacity that is orders where the rest is lists.
CORE_SHARE = 0.6
WARM_UP_S = 3.0
LISTS_PER_S = 20.0
#: Fewer samples of the load than these say nothing about it.
_SAMPLES_MIN = 16
#: How long what a probe darkened takes to come back.
REST_S = 30.0


class Options(NamedTuple):
    """What the person at the keyboard chose."""

    cores: float
    seconds: int
    rounds: int
    quiet_s: int


class CagedGateway(NamedTuple):
    """A gateway, or a server in its place, that is held to a part of a core."""

    pid: int
    port: int


class Flooded(NamedTuple):
    """A flood of orders, and the CPU it took."""

    trial: Trial
    warm_up: Outcome
    cpu_s: float

    def refusal_s(self, accept_s: float) -> float:
        """Return the CPU seconds of a refusal: what is left when the accepted are paid for."""
        found = self.trial.orders
        accepted = self.warm_up.accepted + found.accepted
        return (self.cpu_s - accept_s * accepted) / (self.warm_up.refused + found.refused)


@contextmanager
def prepared(options: Options, say: Say) -> Iterator["Bench"]:
    """Lend a bench over servers of its own. Raises ``CannotRun``; what was started is stopped."""
    if len(os.sched_getaffinity(0)) < 2:
        raise CannotRun("two cores are needed: one for the gateway, one for the flood")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-")))
        say("starting PostgreSQL and Valkey (a throw-away directory, fsync on)")
        addresses = stack.enter_context(servers.running(replica=False))
        tidegate = contenders.prepare("tidegate", addresses, scratch)
        with translated():
            lists = first_start.create_api_key(
                processes.tidegate(tidegate.environment), name="lists", roles=["query"]
            )
        keys = {"FLOOD_ORDER_TOKEN": tidegate.token, "FLOOD_LIST_TOKEN": lists}
        # What a flood drove into the journal is drained, as it is wherever the gateway runs: an old
        # journal is load, and would be counted as false alarm in what is measured next.
        working = processes.working(
            "ops.cli", ("work",), tidegate.environment, scratch / "worker.log"
        )
        stack.enter_context(working)
        yield Bench(options, tidegate, keys, addresses.admin_url, scratch, say)


class Bench:
    """Serves gateways in cages, and offers them orders and lists."""

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
        #: Orders a second of a closed loop, each time it was found; not of controls.
        self.probes: list[float] = []
        # The same of the one that serves now.
        self._lately: list[float] = []
        self._contender = contender
        self._keys = keys
        self._admin_url = admin_url
        self._log = scratch / "gateway.log"
        self._core = min(os.sched_getaffinity(0))
        self._runs = 0
        self._is_control = False

    @contextmanager
    def serving(self, shedding: str, control: str = "", **settings: str) -> Iterator[CagedGateway]:
        """Lend a warm gateway in a cage, with these settings; ``control``: with this made wrong."""
        databases.checkpoint(self._admin_url)
        self._lately = []
        self._is_control = bool(control) or shedding != "act"
        given = environment.settings(shedding=shedding, **settings)
        variables = {**self._contender.environment, **given}
        # Named, not imported: what is measured is talked to from outside.
        module, which = ("tests.overload_controls", (control,)) if control else ("ops.cli", ())
        with self.caged(module, (*which, "serve"), variables) as gateway:
            if settings.get("role") != "query":
                # Cold, it is slower than it will be.
                self._closed_loop(gateway, 4.0)
            yield gateway

    @contextmanager
    def caged(
        self, module: str, arguments: tuple[str, ...], variables: dict[str, str]
    ) -> Iterator[CagedGateway]:
        """Lend a server of orders, held to its part of a core."""
        with processes.serving(module, arguments, variables, self._log) as running:
            os.sched_setaffinity(running.pid, {self._core})
            with cpu_quota.held(running.pid, self.options.cores):
                yield CagedGateway(running.pid, running.port)

    def capacity(self, gateway: CagedGateway) -> float:
        """Probe what it can do, and return that: the median of the last probes."""
        found = self._closed_loop(gateway, 4.0)
        self._lately = [*self._lately, found][-_PROBES:]
        if not self._is_control:
            self.probes.append(found)
        return median(self._lately)

    def accept_cpu_s(self, gateway: CagedGateway) -> float:
        """Return the CPU seconds of an accepted order, at the capacity, where batches are full."""
        seconds = 4.0
        before = cpu.usage(gateway.pid)
        accepted = seconds * self._closed_loop(gateway, seconds)
        return cpu.usage(gateway.pid).since(before).service_s / accepted

    def phases(
        self, gateway: CagedGateway, phases: list[tuple[float, float, float]], *, tries: int = 1
    ) -> list[Phase]:
        """Offer (orders/s, lists/s, seconds), one after the other; return what became of them.

        ``tries``: how often each is sent while it is refused.
        """
        how = ("--phases", msgspec.json.encode(phases).decode(), "--tries", str(tries))
        return msgspec.json.decode(self._ask(gateway, *how), type=list[Phase])

    def offer(
        self, gateway: CagedGateway, capacity: float, *, orders: float, lists: float = 0.0
    ) -> Flooded:
        """Offer multiples of this capacity; return what became of the orders, and the CPU."""
        before = cpu.usage(gateway.pid)
        rates, seconds = (orders * capacity, lists * capacity), float(self.options.seconds)
        found = self.phases(gateway, [(*rates, WARM_UP_S), (*rates, seconds)])
        warm_up, outcome = [phase.outcomes["order"] for phase in found]
        used_s = cpu.usage(gateway.pid).since(before).service_s
        return Flooded(Trial(capacity, outcome), warm_up, used_s)

    def rest(
        self, gateway: CagedGateway, capacity: float, *, orders: float, seconds: float
    ) -> None:
        """Offer little, so that what waits is committed and the load falls."""
        self.phases(gateway, [(orders * capacity, 0.0, seconds)])

    def quiet(self, gateway: CagedGateway) -> Phase:
        """Offer 0.7 of the capacity, of which a few are lists; nothing of it may be refused."""
        orders = 0.7 * self.capacity(gateway) - LISTS_PER_S
        rest = (0.3 * orders, 0.0, REST_S)
        return self.phases(gateway, [rest, (orders, LISTS_PER_S, self.options.quiet_s)])[1]

    def sample_load(self, gateway: CagedGateway, share: float) -> list[float]:
        """Return the load, read four times a second while a share of the capacity is offered.

        The first six seconds are left out. Raises ``CannotRun`` for too few samples.
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
        """Return the end of the gateways' log, from now on."""
        return Logged(self._log)

    def _closed_loop(self, gateway: CagedGateway, seconds: float) -> float:
        how = ("--closed", str(_PROBE_CONNECTIONS), "--seconds", str(seconds))
        rate: float = msgspec.json.decode(self._ask(gateway, *how))
        return rate

    def _ask(self, gateway: CagedGateway, *arguments: str) -> bytes:
        self._runs += 1
        common = ["--port", str(gateway.port), "--leave-core", str(self._core)]
        common += ["--prefix", f"f{self._runs:03d}"]
        return processes.run("loadtest.overload.flood", [*common, *arguments], self._keys).encode()


class Logged:
    """The end of a log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size

    def count(self, pattern: str) -> int:
        """Return how often a regular expression is found there by now."""
        return len(re.findall(pattern, self._log.read_bytes()[self._from :].decode()))


def _load(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        shown = answer.read().decode()
    return max(float(value) for value in re.findall(r"^tidegate_load\{.*\} (\S+)$", shown, re.M))


def summary(trial: Trial) -> str:
    """Return one line about the outcome of a flood."""
    found = trial.orders
    return (
        f"{trial.goodput:.0%} of {trial.capacity:,.0f}/s, p99 {found.p99_ms:.0f} ms, "
        f"refused {found.refused}, unanswered {found.unanswered}, not placed {found.not_placed}"
    )
