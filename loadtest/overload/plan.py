"""The order of the run: capacity, floods, quiet, steps, and the control that must fail."""

import os
import platform
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
from loadtest.bench.processes import CannotRun
from loadtest.overload import cage
from loadtest.overload.flood import Outcome, Phase

Say = Callable[[str], None]

#: How many times the capacity is offered.
TIMES = (2, 5, 10)
#: Connections of the closed loop that finds the capacity: enough to keep the gateway busy, and
#: fewer than it has slots.
_PROBE_CONNECTIONS = 64
WARM_UP_S = 3.0
_LISTS_PER_S = 20.0
_LISTS_TIER = 3
_WINDOWS = 5
#: How long clients that try again storm, until it is seen whether that keeps itself going.
_STORM_S = 60.0
#: How long what a probe darkened takes to come back.
_REST_S = 25.0


class Options(NamedTuple):
    """What the person at the keyboard chose."""

    cores: float
    seconds: int
    rounds: int
    quiet_s: int


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """A step from half of the capacity to five times, and back. None: it did not happen."""

    #: Milliseconds from the step until the last list was answered.
    dark_after_ms: float | None
    #: Seconds from the step back until every list is answered again.
    back_after_s: float | None
    #: How often lists went dark or came back in a minute, by the gateway's own log.
    flips_per_min: float


class Findings(msgspec.Struct, kw_only=True):
    """Everything that was measured; ``--json`` writes it as it stands."""

    held_to_cores: float
    cores: int
    python: str
    #: Orders a second in a closed loop, each probe, and their median.
    probes: list[float]
    capacity: float
    #: By how many times the capacity was offered as orders.
    flood: dict[int, list[Outcome]]
    #: The same without shedding: the control.
    unshed: list[Outcome]
    #: Orders at 0.6 of the capacity, the rest lists, in one process.
    mixed: dict[int, list[Phase]]
    #: The same with lists in a process of their own: what became of the orders.
    apart: dict[int, list[Outcome]]
    #: Orders through HAProxy, which refuses in front; empty where it is not installed.
    fronted: dict[int, list[Outcome]]
    #: CPU of a refused order as a share of that of an accepted one.
    refusal_cost: list[float]
    #: The CPU seconds of an accepted order, before each round.
    accept_s: list[float]
    #: The same share, of a refusal by bare sockets that do nothing else, at the same rate.
    least_refusal_cost: list[float]
    #: Five times the capacity, decided when a request was parsed: a control.
    late: list[Outcome]
    #: Windows at 0.7 of the capacity where CPU decides alone: a control.
    cpu_alone: list[Phase]
    #: Windows of lists beside orders at 0.7 of what was the capacity right before each.
    quiet: list[Phase]
    #: Orders at 0.7 of the capacity, from ten seconds after a flood of ten times it has ended, in
    #: which whoever was refused sent three more times at once.
    after_flood: Outcome
    #: Shares of the looks at which the load was 0.7 or more at half of the capacity, and below 0.8
    #: at all of it.
    high_at_half: float
    low_at_full: float
    steps: list[Steps]


class Site(NamedTuple):
    """The gateway in its cage, and the keys to it."""

    pid: int
    port: int
    environment: dict[str, str]


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
        create = ["keys", "create", "--name", "lists", "--role", "query", "--json"]
        lists = msgspec.json.decode(processes.run("ops.cli", create, tidegate.environment))
        keys = {"FLOOD_ORDER_TOKEN": tidegate.token, "FLOOD_LIST_TOKEN": lists["token"]}
        # What a flood drove into the journal is drained, as it is wherever the gateway runs: an old
        # journal is load, and would be counted as false alarm in what is measured next.
        working = processes.working(
            "ops.cli", ("work",), tidegate.environment, scratch / "worker.log"
        )
        stack.enter_context(working)
        yield Bench(options, tidegate, keys, addresses.admin_url, scratch, say)


class _Flooded(NamedTuple):
    warm_up: Outcome
    found: Outcome
    cpu_s: float

    def refusal_s(self, accept_s: float) -> float:
        """Return the CPU seconds of a refusal: what is left when the accepted are paid for."""
        accepted = self.warm_up.accepted + self.found.accepted
        return (self.cpu_s - accept_s * accepted) / (self.warm_up.refused + self.found.refused)


class Bench:
    """A gateway in its cage, what is offered to it, and what becomes of that."""

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
        self._contender = contender
        self._keys = keys
        self._admin_url = admin_url
        self._log = scratch / "gateway.log"
        self.say = say
        self._runs = 0

    def run(self) -> Findings:
        """Measure one process alone. Blocks for minutes."""
        options, say = self.options, self.say
        with self.serving("act") as site:
            self.probe(site)
            probes = [self.probe(site) for _ in range(5)]
            capacity = median(probes)
            say(f"capacity of {options.cores:g} of a core: {capacity:,.0f} orders/s")
            flood: dict[int, list[Outcome]] = {times: [] for times in TIMES}
            mixed: dict[int, list[Phase]] = {times: [] for times in TIMES}
            costs, accepts = [], []
            for number in range(options.rounds):
                label = f"round {number + 1} of {options.rounds}"
                accept_s = self._accept_cpu_s(site)
                accepts.append(accept_s)
                for times in TIMES:
                    flooded = self.flood(site, times * capacity)
                    flood[times].append(flooded.found)
                    say(f"{label}, orders at {times} x: {said(flooded.found, capacity)}")
                    if times == TIMES[-1] and flooded.found.refused:
                        costs.append(flooded.refusal_s(accept_s) / accept_s)
                    self.calm(site, capacity)
                for times in TIMES:
                    phase = self._mixed(site, capacity, times)
                    mixed[times].append(phase)
                    say(f"{label}, lists at {times} x: {said(phase.outcomes['order'], capacity)}")
                    self.calm(site, capacity)
        with self.serving("act") as site:
            # Cold, it is slower than what was measured; and what that darkened comes back first.
            self.probe(site)
            self.phases(site, [(0.3 * capacity, 0.0, 30.0)])
            say(f"0.7 of the capacity for {_WINDOWS} x {options.quiet_s} s: nothing may be refused")
            quiet = [self.quiet(site) for _ in range(_WINDOWS)]
            say(
                f"ten times the capacity for {_STORM_S:.0f} s, each refused order sent 3 more times"
            )
            after = self.phases(
                site,
                [
                    (10 * capacity, 0.0, _STORM_S),
                    (0.7 * capacity, 0.0, 10.0),
                    (0.7 * capacity, 0.0, 10.0),
                ],
                tries=4,
            )[2]
            self.phases(site, [(0.3 * capacity, 0.0, 30.0)])
            half, full = self._looks(site, capacity, 0.5), self._looks(site, capacity, 1.0)
            steps = []
            for _ in range(options.rounds):
                self.phases(site, [(0.3 * capacity, 0.0, 30.0)])
                steps.append(self._step(site, capacity))
                say(f"step to 5 x and back: {steps[-1]}")
        with self.serving("watch") as site:
            unshed = []
            for _ in range(options.rounds):
                unshed.append(self.flood(site, 5 * capacity).found)
                say(f"the control, 5 x without shedding: {said(unshed[-1], capacity)}")
                self.calm(site, capacity)
        return Findings(
            held_to_cores=options.cores,
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
            probes=probes,
            capacity=capacity,
            flood=flood,
            unshed=unshed,
            mixed=mixed,
            apart={},
            fronted={},
            refusal_cost=costs,
            accept_s=accepts,
            least_refusal_cost=[],
            late=[],
            cpu_alone=[],
            quiet=quiet,
            after_flood=after.outcomes["order"],
            high_at_half=sum(load >= 0.7 for load in half) / max(1, len(half)),
            low_at_full=sum(load < 0.8 for load in full) / max(1, len(full)),
            steps=steps,
        )

    @contextmanager
    def serving(self, shedding: str, control: str = "", **settings: str) -> Iterator[Site]:
        """Lend a gateway in a cage, with these settings; ``control``: with this made wrong."""
        databases.checkpoint(self._admin_url)
        given = {f"TIDEGATE_{name.upper()}": value for name, value in settings.items()}
        environment = {**self._contender.environment, "TIDEGATE_SHEDDING": shedding, **given}
        # Named, not imported: what is measured is talked to from outside.
        module, which = ("tests.overload_controls", (control,)) if control else ("ops.cli", ())
        with self.caged(module, (*which, "serve"), environment) as site:
            yield site

    @contextmanager
    def caged(
        self, module: str, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> Iterator[Site]:
        """Lend a server of orders, held to its part of a core."""
        with processes.serving(module, arguments, environment, self._log) as running:
            os.sched_setaffinity(running.pid, {min(os.sched_getaffinity(0))})
            with cage.held(running.pid, self.options.cores):
                yield Site(running.pid, running.port, environment)

    def _ask(self, site: Site, *arguments: str) -> bytes:
        self._runs += 1
        common = ("--port", str(site.port), "--prefix", f"f{self._runs:03d}")
        return processes.run("loadtest.overload.flood", [*common, *arguments], self._keys).encode()

    def probe(self, site: Site, seconds: float = 4.0) -> float:
        """Return the orders a second of a closed loop."""
        how = ("--closed", str(_PROBE_CONNECTIONS), "--seconds", str(seconds))
        rate: float = msgspec.json.decode(self._ask(site, *how))
        return rate

    def phases(
        self, site: Site, phases: list[tuple[float, float, float]], *, tries: int = 1
    ) -> list[Phase]:
        """Offer (orders/s, lists/s, seconds), one after the other; return what became of them.

        ``tries``: how often each is sent while it is refused.
        """
        how = ("--phases", msgspec.json.encode(phases).decode(), "--tries", str(tries))
        return msgspec.json.decode(self._ask(site, *how), type=list[Phase])

    def _accept_cpu_s(self, site: Site) -> float:
        """Measure the CPU of an accepted order, at the capacity, where batches are full."""
        before = cpu.usage(site.pid)
        seconds = 4.0
        rate = self.probe(site, seconds)
        return cpu.usage(site.pid).since(before).service_s / (rate * seconds)

    def flood(self, site: Site, rate: float) -> "_Flooded":
        """Offer orders; return what became of them during and after the warm-up, and the CPU."""
        before = cpu.usage(site.pid)
        phases = [(rate, 0.0, WARM_UP_S), (rate, 0.0, float(self.options.seconds))]
        warm_up, found = [phase.outcomes["order"] for phase in self.phases(site, phases)]
        return _Flooded(warm_up, found, cpu.usage(site.pid).since(before).service_s)

    def _mixed(self, site: Site, capacity: float, times: int) -> Phase:
        core, rest = 0.6 * capacity, (times - 0.6) * capacity
        phases = [(core, rest, WARM_UP_S), (core, rest, float(self.options.seconds))]
        return self.phases(site, phases)[1]

    def quiet(self, site: Site) -> Phase:
        """Offer 0.7 of the capacity as it is now: a shared machine is not the same all the time."""
        share = 0.7 * self.probe(site) - _LISTS_PER_S
        rest = (0.3 * share, 0.0, _REST_S)
        return self.phases(site, [rest, (share, _LISTS_PER_S, self.options.quiet_s)])[1]

    def calm(self, site: Site, capacity: float) -> None:
        """Let what waits be committed and the load fall, before the next is measured."""
        self.phases(site, [(0.1 * capacity, 0.0, 2.0)])

    def _looks(self, site: Site, capacity: float, share: float) -> list[float]:
        """Read the load while a share of the capacity is offered, after five seconds of it."""
        seen: list[float] = []
        ending = Event()

        def look() -> None:
            ending.wait(6.0)
            while not ending.wait(0.25):
                seen.append(_load(site.port))

        looking = Thread(target=look)
        looking.start()
        if share < 1:
            self.phases(site, [(share * capacity, 0.0, 15.0)])
        else:
            self.probe(site, 15.0)
        ending.set()
        looking.join()
        return seen[:-2]

    def _step(self, site: Site, capacity: float) -> Steps:
        logged = self._log.stat().st_size
        seconds = (5.0, 10.0, 60.0)
        rates = (0.5 * capacity, 5.0 * capacity, 0.5 * capacity)
        _, step, after = self.phases(
            site, [(rate, _LISTS_PER_S, each) for rate, each in zip(rates, seconds, strict=True)]
        )
        said = self._log.read_text()[logged:]
        flips = len(re.findall(rf'"tier {_LISTS_TIER} is (?:open|closed)"', said))
        answered = [n for n, count in enumerate(step.lists_accepted) if count]
        refused = [n for n, count in enumerate(after.lists_refused) if count]
        is_dark = bool(step.lists_refused and sum(step.lists_refused[-50:]))
        is_back = not refused or refused[-1] < len(after.lists_refused) - 1
        dark_ms = 100.0 * (answered[-1] + 1 if answered else 0)
        back_s = 0.1 * (refused[-1] + 1 if refused else 0)
        return Steps(
            dark_after_ms=dark_ms if is_dark else None,
            back_after_s=back_s if is_back else None,
            flips_per_min=60 * flips / sum(seconds),
        )


def _load(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        shown = answer.read().decode()
    return max(float(value) for value in re.findall(r"^tidegate_load\{.*\} (\S+)$", shown, re.M))


def said(found: Outcome, capacity: float) -> str:
    """Say in a line what became of a flood."""
    return (
        f"{found.good_per_s / capacity:.0%} of the capacity, p99 {found.p99_ms:.0f} ms, "
        f"refused {found.refused}, unanswered {found.unanswered}, not placed {found.not_placed}"
    )
