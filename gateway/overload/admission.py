"""Overload: measures, decides, and says why. What is here acts; its parts only decide.

Each process looks after itself by what it sees itself. Every 50 ms the load figure is taken and
moves the tiers' breakers; every request asks once, before it is parsed.
"""

import asyncio
import logging
import time
from collections import Counter, deque

from gateway.domain.features import FEATURES, TIERS, Feature, Tier
from gateway.domain.overrides import EARLIER, Action
from gateway.overload import metrics
from gateway.overload.concurrency import ConcurrencyLimit, InFlightLimit
from gateway.overload.heard import Heard
from gateway.overload.load import IDLE, LoadFigure, Signal
from gateway.overload.rejections import Reason, Rejection, Rejections
from gateway.overload.request_rates import RequestRates
from gateway.overload.sources import Committer, Journal, Modes, Readers
from gateway.overload.tier_breaker import RULES, TierBreaker
from gateway.runtime import machine
from gateway.runtime.clock import Clock
from gateway.runtime.recent import Recent, slope
from gateway.runtime.settings import Settings
from gateway.runtime.watchdog import Watchdog

_log = logging.getLogger(__name__)

TICK_S = 0.05
#: Ticks over which lateness and CPU are looked at; also those between two showings of metrics.
_TICKS = 5
#: And those that tell whether the CPU is short at this moment.
_TICKS_NOW = 3
_TICKS_PER_S = round(1 / TICK_S)
_SOJOURN_S = 0.5
#: What a refusal costs, about, to know how much of the time refusals take.
_REFUSAL_S = 10e-6
#: Where an operator wants none of it, it is a matter of minutes: how much longer than a second or
#: two a refused one should stay away then; and else, by the breaker's state.
_OPERATOR_FACTOR = 5
_FACTORS = {"closed": 1, "recovering": 1, "shedding": 1, "open": 2}


class Overloaded(Exception):
    """Ends a request that lost its place while its body was on its way."""

    def __init__(self, refusal: Rejection) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class Slot:
    """One request's place between its first byte and its batch."""

    __slots__ = ("_overload", "feature", "given_s", "is_held")

    def __init__(self, overload: "Overload", feature: Feature, given_s: float) -> None:
        self._overload = overload
        self.feature = feature
        self.given_s = given_s
        self.is_held = True

    def begin(self) -> None:
        """Say that the handler starts. Not asked of core, where leaving tells as much."""
        self._overload.note_start(self.given_s)

    def leave(self) -> None:
        """Give the place back: nothing more of the CPU is wanted now. Repeats are harmless."""
        if self.is_held:
            self.is_held = False
            overload = self._overload
            overload.slots.leave(self.feature.tier, overload.now_s() - self.given_s)

    def enter(self) -> None:
        """Take a place again after having waited. Raises ``Overloaded``."""
        if self.is_held:
            return
        asked = self._overload.ask_again(self.feature)
        if isinstance(asked, Rejection):
            raise Overloaded(asked)
        # The new place is kept by this slot.
        self.given_s, self.is_held = asked.given_s, True


class Overload:
    """Who may come in now."""

    def __init__(
        self,
        *,
        committer: Committer,
        journal: Journal | None,
        commits_s: Recent,
        readers: Readers,
        modes: Modes,
        heard: Heard,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._committer = committer
        self._journal = journal
        self._commits_s = commits_s
        self._readers = readers
        self._modes = modes
        self._heard = heard
        self.now_s = clock.monotonic_s
        self._watchdog = Watchdog(clock=clock)
        self._is_acting = settings.shedding == "act"
        self._rate_max = settings.requests_per_s_max
        self._ack_bytes_max = settings.ack_bytes_max
        self._figure = LoadFigure()
        self.load = IDLE
        self.slots = ConcurrencyLimit()
        self.in_flight = InFlightLimit()
        self.tiers: dict[Tier, TierBreaker] = {tier: TierBreaker(RULES[tier]) for tier in RULES}
        self._breakers = [self.tiers.get(tier) for tier in TIERS]
        self._sojourns_s = Recent(window_s=_SOJOURN_S)
        self._late_s: deque[float] = deque(maxlen=_TICKS)
        self._cpu_s: deque[tuple[float, float]] = deque(maxlen=_TICKS + 1)
        self._asked = 0
        # Parts of requests that were let in: told as refusals, no requests of their own.
        self._skipped = 0
        self._skips: Counter[tuple[str, Reason]] = Counter()
        self._rates: deque[tuple[float, int]] = deque(maxlen=_TICKS_PER_S + 1)
        self._answered: deque[tuple[float, int]] = deque(maxlen=2 * _TICKS + 1)
        self._in_flight: deque[float] = deque(maxlen=_TICKS)
        # What was asked and what was refused until each tick of the last half second.
        self._refused: deque[tuple[int, int]] = deque(maxlen=2 * _TICKS + 1)
        # Plain numbers in the way of a request; metrics are told of them now and then.
        self._refusing = Rejections(is_acting=self._is_acting)
        self._refuse = self._refusing.give
        self.tally = RequestRates()
        self._ticks = 0
        self._cores = 1.0
        self._slow: dict[Signal, float] = {}

    def ask(self, feature: Feature) -> Slot | Rejection:
        """Decide about one request; its slot is taken on return."""
        self._asked += 1
        refusal = self._decide(feature)
        if refusal is not None:
            if self._is_acting or refusal.reason == "operator":
                return refusal
            # Only watched: the request is let in, beyond the limit where there is no slot.
            if not self.slots.reserve(feature.tier):
                self.slots.force()
        return Slot(self, feature, self.now_s())

    def _decide(self, feature: Feature) -> Rejection | None:
        """Return why a request is refused; None: it has a slot."""
        tier = feature.tier
        breaker = self._breakers[tier]
        if self._modes.words and (word := self._modes.words.get(feature.name)):
            refusal = self._obey(feature, word)
            if refusal is not None:
                return refusal
        elif breaker is not None and breaker.share and breaker.refuses():
            return self._refuse(feature, "shed", self.load.signal, _FACTORS[breaker.state])
        elif tier > 1 and self._watchdog.is_stalled:
            return self._refuse(feature, "stall", self.load.signal, 1)
        rooms = self.in_flight.rooms
        if rooms is not None and self._committer.waiting + self.slots.in_use >= rooms[tier]:
            return self._refuse(feature, "inflight", self.load.signal, 1)
        if not self.slots.reserve(tier):
            return self._refuse(feature, "slots", self.load.signal, 1)
        return None

    def ask_again(self, feature: Feature) -> Slot | Rejection:
        """Decide about one that had left its slot: the request is counted once."""
        self._asked -= 1
        return self.ask(feature)

    def skips(self, feature: Feature) -> bool:
        """Say whether a part of a request is to be left out now; that is counted as a refusal."""
        breaker = self._breakers[feature.tier]
        word = self._modes.words.get(feature.name)
        reason: Reason
        if word == "shed":
            reason = "operator"
        elif self._watchdog.is_stalled:
            reason = "stall"
        elif self.load.hard >= 1.0 if word else breaker is not None and breaker.refuses():
            reason = "shed"
        else:
            return False
        self._skips[feature.name, reason] += 1
        is_skipped = word == "shed" or self._is_acting
        self._skipped += is_skipped
        return is_skipped

    @property
    def waiting(self) -> int:
        """What was taken and not yet answered."""
        return self._committer.waiting

    def is_short(self) -> bool:
        """Say whether the CPU is what everybody waits for, where anything is done about it."""
        return self._is_acting and self.in_flight.limit is not None

    def refuse_again(self, refusal: Rejection) -> None:
        """Count another request that is refused for what one was refused a moment ago."""
        self._asked += 1
        refusal.count += 1

    def take_back(self, refusal: Rejection) -> None:
        """Count a refusal no more: it is decided about again."""
        refusal.count -= 1
        self._asked -= 1

    def darkness(self, feature: Feature) -> float:
        """Return the share of a feature that is refused now, by operators too. Counts nothing."""
        if word := self._modes.words.get(feature.name):
            return 1.0 if word == "shed" else 0.0
        return self.refused_share(feature.tier)

    def refused_share(self, tier: Tier) -> float:
        """Return the share of a tier's requests that is refused for load now."""
        breaker = self._breakers[tier]
        return breaker.share if breaker is not None and self._is_acting else 0.0

    def note_start(self, given_s: float) -> None:
        """Take note of how long a request waited for its handler."""
        now_s = self.now_s()
        self._sojourns_s.add(now_s - given_s, now_s)

    async def run(self, stopping: asyncio.Event) -> None:
        """Take the load again and again until told to stop."""
        self._watchdog.start()
        try:
            while not stopping.is_set():
                due_s = self.now_s() + TICK_S
                await asyncio.sleep(TICK_S)
                now_s = self.now_s()
                self.tick(now_s - due_s, time.thread_time(), now_s)
        finally:
            self._watchdog.stop()

    def tick(self, late_s: float, cpu_s: float, now_s: float) -> None:
        """Take the load once. ``late_s``: of this tick; ``cpu_s``: of this thread until now."""
        self._ticks += 1
        self._watchdog.beat()
        self._modes.tick(now_s)
        self._late_s.append(late_s)
        self._cpu_s.append((now_s, cpu_s))
        self._rates.append((now_s, self._asked))
        self._answered.append((now_s, self._committer.answered))
        limit = self.in_flight.limit
        waiting = self._committer.waiting + self.slots.in_use
        self._in_flight.append(0.0 if limit is None else waiting / limit)
        self._refused.append((self._asked, self._refusing.total))
        cpu = slope(self._cpu_s, last=_TICKS_NOW) / self._cores
        self.in_flight.look(refused=self._refused_share(), cpu=cpu)
        if self._ticks % _TICKS_PER_S == 1:
            self._look_around()
        if self._ticks % (2 * _TICKS) == 1:
            self._slow["acklat"] = self._committer.answer_s()
            self._slow["dbbatch"] = self._commits_s.at(0.95, now_s)
            self._slow["dbpool"] = self._readers.wait_s()
        self.load = self._figure.take(self._measured(now_s), now_s)
        for tier, breaker in self.tiers.items():
            load = self.load.hard if tier <= 1 else self.load.figure
            earlier = EARLIER if tier in self._modes.early else 0.0
            if breaker.take(load, now_s, earlier=earlier):
                self._say(tier, breaker)
        if self._ticks % (2 * _TICKS) == 0:
            # Of the time there is: held to a quarter of a core, the loop has a quarter of it.
            window_s = 2 * _TICKS * TICK_S * self._cores
            self.slots.adapt(refusing=self._refused_lately() * _REFUSAL_S / window_s)
        if self._ticks % _TICKS == 0:
            self.in_flight.adapt(
                answered_per_s=slope(self._answered),
                cpu=slope(self._cpu_s) / self._cores,
                commit_s=self._commits_s.at(0.05, now_s),
            )
            self._show()

    def _obey(self, feature: Feature, word: Action) -> Rejection | None:
        """Do as an operator said. What would end the process is stronger than any word."""
        if word == "shed":
            return self._refuse(feature, "operator", self.load.signal, _OPERATOR_FACTOR)
        if self._watchdog.is_stalled and feature.tier > 1:
            return self._refuse(feature, "stall", self.load.signal, 1)
        if self.load.hard >= 1.0 and feature.tier > 0:
            return self._refuse(feature, "shed", self.load.signal, 2)
        return None

    def _refused_lately(self) -> int:
        return self._refused[-1][1] - self._refused[0][1]

    def _refused_share(self) -> float:
        asked = self._refused[-1][0] - self._refused[0][0]
        return min(1.0, max(0.0, self._refused_lately() / asked)) if asked > 0 else 0.0

    def _look_around(self) -> None:
        """Measure what changes slowly and costs more to find out."""
        self._cores = max(0.01, min(1.0, machine.cpu_cores()))
        self._slow["rss"] = machine.memory_bytes() / max(1, machine.memory_bytes_max())
        self._slow["fds"] = machine.descriptors() / max(1, machine.descriptors_max())

    def _measured(self, now_s: float) -> dict[Signal, float]:
        measured: dict[Signal, float] = dict(self._slow)
        # The second latest: one hiccup of the machine is no load, and load is late again at once.
        measured["lag"] = sorted(self._late_s)[-2] if len(self._late_s) > 1 else 0.0
        measured["sojourn"] = max(self.slots.wait_s(), self._sojourns_s.at(0.90, now_s))
        measured["slots"] = self.slots.mean_use(now_s)
        # The least of the last ticks is the queue that stands; what comes and goes with each commit
        # is how batches work.
        measured["inflight"] = min(self._in_flight)
        measured["ackwait"] = self._committer.waiting_bytes / self._ack_bytes_max
        measured["cpu"] = slope(self._cpu_s) / self._cores
        if self._rate_max:
            measured["rate"] = slope(self._rates) / self._rate_max
        if self._journal is not None:
            measured["jage"] = self._journal.oldest_s
            measured["jfill"] = self._journal.fill / 0.9
        measured["peers"] = self._heard.back(now_s)
        return measured

    def _say(self, tier: Tier, breaker: TierBreaker) -> None:
        _log.warning(
            "tier %d is %s" if self._is_acting else "tier %d would be %s",
            tier,
            breaker.state,
            extra={
                "features": [each.name for each in FEATURES if each.tier == tier],
                "load": round(self.load.figure, 3),
                "signal": self.load.signal,
            },
        )

    def _show(self) -> None:
        load = self.load
        metrics.LOAD.labels("front").set(load.front)
        metrics.LOAD.labels("back").set(load.back)
        for signal, share in load.shares.items():
            metrics.LOAD_SIGNAL.labels(signal).set(share)
        metrics.SLOTS.labels("limit").set(self.slots.limit)
        metrics.SLOTS.labels("in_flight_limit").set(self.in_flight.limit or 0)
        metrics.SLOTS.labels("in_use").set(self.slots.in_use)
        for tier in TIERS:
            breaker = self.tiers.get(tier)
            metrics.SHED_SHARE.labels(str(tier)).set(breaker.share if breaker else 0.0)
        mode = "act" if self._is_acting else "watch"
        refused: Counter[str] = Counter()
        for (feature, reason), count in (self._refusing.tell() + self._skips).items():
            metrics.SHED.labels(feature, reason, mode).inc(count)
            if self._is_acting or reason == "operator":
                refused[feature] += count
        self._skips.clear()
        self.tally.note(self.now_s(), asked=self._asked + self._skipped, refused=refused)
