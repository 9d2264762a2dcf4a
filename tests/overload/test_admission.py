"""Admission and its monitor: what is measured, rejected and reported."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pytest
from prometheus_client import REGISTRY

from gateway.domain import features
from gateway.domain.overrides import Action
from gateway.overload.admission import Admission
from gateway.overload.concurrency import ConcurrencyLimit, Overloaded, Slot
from gateway.overload.heartbeats import PeerLoads
from gateway.overload.monitor import Monitor
from gateway.overload.rejections import Rejection
from gateway.overload.signals import TICK_S, Signals
from gateway.runtime import live, machine
from gateway.runtime.live import Live
from gateway.runtime.recent import Recent
from gateway.runtime.settings import Settings
from gateway.runtime.watchdog import STALL_S, Watchdog
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S

SETTINGS = Settings(database_url="postgresql://nowhere/none")


@dataclass
class FakeCommitter:
    waiting_bytes: int = 0
    waiting: int = 0
    answered: int = 0
    waits_s: float = 0.0

    def answer_s(self) -> float:
        return self.waits_s


@dataclass
class FakeJournal:
    oldest_s: float = 0.0
    fill: float = 0.0


@dataclass
class FakeReaders:
    waits_s: float = 0.0

    def wait_s(self) -> float:
        return self.waits_s


@dataclass
class FakeOverrides:
    actions: dict[str, Action] = field(default_factory=dict)
    early_tiers: frozenset[features.Tier] = frozenset()

    def tick(self, now_s: float) -> None:
        pass


class Ticked:
    """Admission and its monitor, with their clock and what they measure."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.clock = ManualClock()
        self.committer = FakeCommitter()
        self.journal = FakeJournal()
        self.commits_s = Recent(window_s=10.0)
        self.overrides = FakeOverrides()
        self.readers = FakeReaders()
        self.peer_loads = PeerLoads()
        self.watchdog = Watchdog(clock=self.clock)
        self.admission = Admission(
            committer=self.committer,
            overrides=self.overrides,
            watchdog=self.watchdog,
            clock=self.clock,
            is_acting=settings.shedding == "act",
        )
        self.monitor = Monitor(
            admission=self.admission,
            signals=Signals(
                admission=self.admission,
                committer=self.committer,
                journal=self.journal,
                commits_s=self.commits_s,
                readers=self.readers,
                peers=self.peer_loads,
                limits=Live(live.limits(settings)),
            ),
            overrides=self.overrides,
            watchdog=self.watchdog,
            clock=self.clock,
        )
        self.cpu_s = 0.0

    def tick(
        self, seconds: float = TICK_S, *, late_s: float = 0.0, cpu: float | None = None
    ) -> None:
        """Tick for so long. Unless said otherwise, a loop that is late is busy, as under load."""
        if cpu is None:
            cpu = 0.6 if late_s else 0.0
        for _ in range(max(1, round(seconds / TICK_S))):
            self.clock.at_s += TICK_S
            self.cpu_s += TICK_S * cpu
            self.monitor.tick(late_s, self.cpu_s, self.clock.at_s)

    def rejected(self, feature: features.Feature, of: int = 100) -> int:
        """Return how many of so many requests are rejected."""
        rejected = 0
        for _ in range(of):
            decided = self.admission.admit(feature)
            if isinstance(decided, Slot):
                decided.leave()
            else:
                rejected += 1
        return rejected


def fill(concurrency: ConcurrencyLimit) -> None:
    """Take every slot there is."""
    while concurrency.in_use < concurrency.limit:
        concurrency.take()


def test_at_rest_nothing_is_rejected() -> None:
    ticked = Ticked()
    ticked.tick(5.0, cpu=0.6)
    assert ticked.admission.load.figure < 0.7
    assert {ticked.rejected(feature) for feature in features.FEATURES} == {0}


def test_a_late_loop_sheds_tiers_2_to_4_within_half_a_second_and_no_core() -> None:
    ticked = Ticked()
    ticked.tick(1.0)
    ticked.tick(0.2, late_s=0.2)
    assert ticked.rejected(features.ORDER_LISTS) == 100
    assert ticked.rejected(features.ORDER_READS) == 100
    assert ticked.rejected(features.ORDER_REMARKS) == 100
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0
    assert ticked.rejected(features.CALLBACKS) == 0
    assert ticked.admission.load.signal == "lag"


def test_one_hiccup_of_the_machine_sheds_nothing() -> None:
    ticked = Ticked()
    ticked.tick(1.0)
    ticked.tick(late_s=3.0)
    ticked.tick(1.0)
    assert ticked.rejected(features.ORDER_LISTS) == 0


@pytest.mark.parametrize(
    "signal",
    [
        "sojourn",
        "slots",
        "inflight",
        "ackwait",
        "acklat",
        "cpu",
        "rate",
        "jage",
        "jfill",
        "dbbatch",
        "dbpool",
        "peers",
    ],
)  # fmt: skip
def test_every_signal_is_measured(signal: str) -> None:
    rate_max = 100.0 if signal == "rate" else 0.0
    ticked = Ticked(msgspec.structs.replace(SETTINGS, requests_per_s_max=rate_max))
    admission, cpu = ticked.admission, 0.0
    match signal:
        case "ackwait":
            ticked.committer.waiting_bytes = SETTINGS.ack_bytes_max
        case "acklat":
            ticked.committer.waits_s, ticked.committer.waiting = 0.5, 2
        case "inflight":
            cpu, ticked.committer.waiting = 0.95, 128
        case "cpu":
            cpu = 1.0
        case "sojourn":
            cpu = 0.6
        case "jage":
            ticked.journal.oldest_s = 31.0
        case "jfill":
            ticked.journal.fill = 0.9
        case "dbbatch":
            ticked.committer.waiting = 2
            for _ in range(3):
                ticked.commits_s.add(2.5, 0.0)
        case "dbpool":
            ticked.readers.waits_s = 0.3
        case "peers":
            ticked.peer_loads.receive([(1.0, 60.0)])
    for _ in range(60):
        if signal == "rate":
            ticked.rejected(features.CALLBACKS, of=6)
        if signal == "cpu":
            # A queue that agrees.
            asked = admission.admit(features.CALLBACKS)
            assert isinstance(asked, Slot)
            ticked.clock.at_s += 0.015
            asked.leave()
            ticked.clock.at_s -= 0.015
        if signal == "sojourn":
            asked = admission.admit(features.CALLBACKS)
            assert isinstance(asked, Slot)
            ticked.clock.at_s += 0.07
            asked.leave()
            ticked.clock.at_s -= 0.07
        if signal == "slots":
            # All of them, given back at the end of the tick.
            held = [admission.admit(features.CALLBACKS) for _ in range(admission.concurrency.limit)]
            ticked.clock.at_s += TICK_S
            for each in held:
                assert isinstance(each, Slot)
                each.leave()
            ticked.clock.at_s -= TICK_S
        ticked.tick(cpu=cpu)
    assert admission.load.signal == signal, admission.load
    assert admission.load.figure == pytest.approx(1.0, abs=0.26)


def test_only_waiting_bytes_shed_submissions_and_never_callbacks() -> None:
    ticked = Ticked()
    ticked.committer.waiting_bytes = 2 * SETTINGS.ack_bytes_max
    ticked.tick(0.2)
    assert ticked.rejected(features.ORDER_SUBMISSION) == 100
    assert ticked.rejected(features.CALLBACKS) == 0
    ticked.committer.waiting_bytes = 0
    ticked.tick(5.0)
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0


def test_a_rejection_has_its_reason_and_how_long_to_wait() -> None:
    ticked = Ticked()
    ticked.tick(0.3, late_s=0.2)
    rejection = ticked.admission.admit(features.ORDER_LISTS)
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.signal, rejection.factor) == ("shed", "lag", 2)


def test_a_slot_is_given_back_once_and_taken_again() -> None:
    ticked = Ticked()
    slot = ticked.admission.admit(features.CALLBACKS)
    assert isinstance(slot, Slot)
    assert ticked.admission.concurrency.in_use == 1
    slot.enter()
    assert ticked.admission.concurrency.in_use == 1, "it was never given back"
    slot.leave()
    slot.leave()
    assert ticked.admission.concurrency.in_use == 0
    slot.enter()
    assert ticked.admission.concurrency.in_use == 1
    slot.leave()
    fill(ticked.admission.concurrency)
    with pytest.raises(Overloaded) as caught:
        slot.enter()
    assert caught.value.rejection.reason == "slots"
    before = ticked.admission.concurrency.in_use
    slot.leave()
    assert ticked.admission.concurrency.in_use == before


def test_a_request_that_takes_a_slot_again_is_counted_once() -> None:
    ticked = Ticked()
    for _ in range(60):
        slot = ticked.admission.admit(features.CALLBACKS)
        assert isinstance(slot, Slot)
        slot.leave()
        slot.enter()
        slot.leave()
        ticked.tick()
    assert ticked.admission.rates.accepted_per_s() == pytest.approx(20)


def test_watching_rejects_nothing() -> None:
    ticked = Ticked(msgspec.structs.replace(SETTINGS, shedding="watch"))
    ticked.tick(1.0, late_s=1.0)
    assert ticked.rejected(features.ORDER_LISTS) == 0
    slots = [ticked.admission.admit(features.CALLBACKS) for _ in range(2000)]
    assert all(isinstance(slot, Slot) for slot in slots)
    for slot in slots:
        assert isinstance(slot, Slot)
        slot.leave()
    assert ticked.admission.concurrency.in_use == 0


def test_watching_counts_a_request_once() -> None:
    """With the first reason: one that would be shed would never ask for a slot."""

    def counted() -> float:
        return sum(
            REGISTRY.get_sample_value(
                "tidegate_shed_total",
                {"feature": "order_lists", "reason": reason, "mode": "watch"},
            )
            or 0.0
            for reason in ("shed", "slots", "inflight", "stall")
        )

    ticked = Ticked(msgspec.structs.replace(SETTINGS, shedding="watch"))
    ticked.tick(1.0, late_s=1.0)
    before = counted()
    fill(ticked.admission.concurrency)
    assert ticked.rejected(features.ORDER_LISTS, of=7) == 0
    ticked.tick(0.5)
    assert counted() == before + 7


def test_a_change_is_logged_once_and_rejections_are_not(caplog: pytest.LogCaptureFixture) -> None:
    ticked = Ticked()
    with caplog.at_level(logging.INFO):
        ticked.tick(1.0, late_s=1.0)
        ticked.rejected(features.ORDER_LISTS, of=1000)
        ticked.tick(1.0, late_s=1.0)
    logged = [record.getMessage() for record in caplog.records]
    assert sorted(logged) == [f"tier {tier} is shedding all requests" for tier in (2, 3, 4)]
    assert caplog.records[0].__dict__["signal"] == "lag"


def test_rejections_are_counted() -> None:
    def counted() -> float:
        labels = {"feature": "order_lists", "reason": "shed", "mode": "act"}
        return REGISTRY.get_sample_value("tidegate_shed_total", labels) or 0.0

    ticked = Ticked()
    ticked.tick(1.0, late_s=1.0)
    before = counted()
    ticked.rejected(features.ORDER_LISTS, of=7)
    ticked.tick(0.5)
    assert counted() == before + 7
    assert REGISTRY.get_sample_value("tidegate_shed_share", {"tier": "3"}) == 1.0


async def test_the_monitor_runs_until_it_is_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticked = Ticked()
    stopping = asyncio.Event()
    running = asyncio.create_task(ticked.monitor.run(stopping))
    await asyncio.sleep(3 * TICK_S)
    stopping.set()
    await asyncio.wait_for(running, HANG_S)


def test_the_watchdog_logs_the_place_of_a_stall_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    watchdog = Watchdog(clock=clock)
    clock.at_s += STALL_S - 0.01
    watchdog.check()
    assert not watchdog.is_stalled
    clock.at_s += 0.02
    for _ in range(3):
        watchdog.check()
    assert watchdog.is_stalled
    (record,) = caplog.records
    assert any("test_admission" in place for place in record.__dict__["at"])
    watchdog.beat()
    assert not watchdog.is_stalled


def test_while_the_loop_is_stalled_tiers_2_to_4_are_rejected() -> None:
    ticked = Ticked()
    watchdog = ticked.watchdog
    ticked.clock.at_s += 2 * STALL_S
    watchdog.check()
    assert ticked.rejected(features.ORDER_LISTS) == 100
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0
    ticked.tick()
    assert ticked.rejected(features.ORDER_LISTS) == 0


def test_in_flight_is_bounded_only_while_the_cpu_is_short() -> None:
    ticked = Ticked()
    ticked.committer.waiting = 4000
    ticked.tick(1.0, cpu=0.5)
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0, (
        "it waits for Postgres, and costs nothing"
    )
    for _ in range(20):
        ticked.committer.answered += 200
        ticked.tick(cpu=1.0)
    # 4,000 answers a second, 50 ms: as many as can be answered in time, callbacks too.
    assert ticked.admission.in_flight.limit == pytest.approx(200, abs=1)
    # Twice as many, while nothing is rejected.
    ticked.committer.waiting = 401
    assert ticked.rejected(features.ORDER_SUBMISSION) == 100
    assert ticked.rejected(features.CALLBACKS) == 100
    ticked.committer.waiting = 380
    assert ticked.rejected(features.ORDER_SUBMISSION) == 100, "a tenth is reserved for callbacks"
    assert ticked.rejected(features.CALLBACKS) == 0
    ticked.committer.waiting = 300
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0
    assert ticked.rejected(features.CALLBACKS) == 0
    # Half of the last ones were rejected; half a second later they no longer count.
    ticked.tick(cpu=1.0)
    assert ticked.rejected(features.ORDER_SUBMISSION) == 100
    assert ticked.rejected(features.CALLBACKS) == 100
    for _ in range(12):
        ticked.committer.answered += 200
        ticked.tick(cpu=1.0)
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0
    ticked.tick(0.5, cpu=0.5)
    ticked.committer.waiting = 4000
    assert ticked.rejected(features.ORDER_SUBMISSION) == 0


@pytest.mark.parametrize("shedding", ["act", "watch"])
def test_watching_delays_no_connection(shedding: Literal["act", "watch"]) -> None:
    ticked = Ticked(msgspec.structs.replace(SETTINGS, shedding=shedding))
    assert not ticked.admission.is_short()
    ticked.tick(1.0, cpu=1.0)
    assert ticked.admission.in_flight.limit is not None
    assert ticked.admission.is_short() is (shedding == "act")
    ticked.tick(2.0, late_s=0.2)
    assert ticked.admission.breakers[3].share == 1.0
    assert ticked.admission.tier_rejected_share(3) == (1.0 if shedding == "act" else 0.0)
    assert ticked.admission.tier_rejected_share(0) == 0.0


def test_parts_left_out_of_orders_do_not_lower_the_in_flight_limit() -> None:
    ticked = Ticked()
    ticked.overrides.actions = {features.INVENTORY_CHECK.name: "shed"}
    ticked.tick(0.5, cpu=1.0)
    limits = ticked.admission.in_flight.limits
    for _ in range(20):
        for _ in range(20):
            slot = ticked.admission.admit(features.ORDER_SUBMISSION)
            assert isinstance(slot, Slot)
            slot.leave()
            assert ticked.admission.skips(features.INVENTORY_CHECK)
        ticked.tick(cpu=1.0)
    assert ticked.admission.in_flight.limits == limits


def test_the_time_of_rejections_is_relative_to_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    # 20,000 rejections a second take a quarter of a core, which may be all there is.
    limits = []
    for cores in (1.0, 0.25):
        monkeypatch.setattr(machine, "cpu_cores", lambda cores=cores: cores)
        ticked = Ticked()
        ticked.tick(1.0, late_s=0.2)
        for _ in range(10):
            ticked.rejected(features.ORDER_LISTS, of=1000)
            for _ in range(10):
                slot = ticked.admission.admit(features.ORDER_SUBMISSION)
                assert isinstance(slot, Slot)
                ticked.clock.at_s += 0.08
                slot.leave()
                ticked.clock.at_s -= 0.08
            ticked.tick()
        limits.append(ticked.admission.concurrency.limit)
    assert limits[0] < limits[1] == ConcurrencyLimit().limit


def test_absurd_measurements_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ticked = Ticked()
    monkeypatch.setattr(machine, "cpu_cores", lambda: 0.0)
    monkeypatch.setattr(machine, "memory_bytes_max", lambda: 0)
    monkeypatch.setattr(machine, "descriptors_max", lambda: 0)
    ticked.tick(3.0, cpu=1.0)
    ticked.clock.at_s -= 100.0
    ticked.tick(3.0)
    ticked.monitor.tick(float("nan"), float("nan"), ticked.clock.at_s)
    assert ticked.admission.load.figure == ticked.admission.load.figure


def test_a_queue_that_comes_and_goes_with_each_commit_is_no_load() -> None:
    ticked = Ticked()
    for n in range(100):
        ticked.committer.waiting = 120 if n % 3 else 10
        ticked.tick(cpu=1.0)
    assert ticked.rejected(features.ORDER_LISTS) == 0
    ticked.committer.waiting = 128
    ticked.tick(0.45, cpu=1.0)
    assert ticked.rejected(features.ORDER_LISTS) > 0


# --- operators ---


@pytest.mark.parametrize("shedding", ["act", "watch"])
def test_a_shed_override_rejects_at_rest(shedding: str) -> None:
    ticked = Ticked(msgspec.structs.replace(SETTINGS, shedding=shedding))
    ticked.overrides.actions["order_lists"] = "shed"
    asked = ticked.admission.admit(features.ORDER_LISTS)
    assert isinstance(asked, Rejection)
    assert asked.reason == "operator"
    assert ticked.rejected(features.ORDER_READS) == 0


def test_an_admit_override_admits_under_load() -> None:
    ticked = Ticked()
    ticked.tick(1.0)
    ticked.tick(0.5, late_s=0.2)
    assert ticked.rejected(features.ORDER_LISTS) == 100
    ticked.overrides.actions["order_lists"] = "admit"
    assert ticked.rejected(features.ORDER_LISTS) == 0
    assert ticked.rejected(features.ORDER_READS) == 100


def test_the_hard_load_is_stronger_than_an_admit_override() -> None:
    ticked = Ticked()
    ticked.overrides.actions["order_lists"] = "admit"
    ticked.committer.waiting_bytes = SETTINGS.ack_bytes_max
    ticked.tick(0.5)
    assert ticked.rejected(features.ORDER_LISTS) == 100
    ticked.committer.waiting_bytes = 0
    ticked.tick(0.5)
    assert ticked.rejected(features.ORDER_LISTS) == 0


def test_an_admit_override_stays_within_the_concurrency_limit() -> None:
    ticked = Ticked()
    ticked.overrides.actions["order_lists"] = "admit"
    held = 0
    while isinstance(ticked.admission.admit(features.ORDER_LISTS), Slot):
        held += 1
    assert held <= ticked.admission.concurrency.limit


def test_an_early_override_sheds_at_a_lower_load() -> None:
    # 0.75 of the load: below every tier's threshold, and not when it counts 0.10 more.
    rejected = []
    for early in (frozenset[features.Tier](), frozenset[features.Tier]({3})):
        ticked = Ticked()
        ticked.overrides.early_tiers = early
        ticked.tick(2.0, late_s=0.75 * 0.025 / 0.8)
        rejected.append(
            (ticked.rejected(features.ORDER_LISTS), ticked.rejected(features.ORDER_READS))
        )
    assert rejected[0] == (0, 0)
    assert rejected[1][0] > 0
    assert rejected[1][1] == 0


@pytest.mark.parametrize("tier", [2, 3, 4])
def test_an_early_tier_recovers_while_the_loop_is_merely_busy(tier: features.Tier) -> None:
    """CPU without a queue counts for 0.65, and must keep nothing shed."""
    ticked = Ticked()
    ticked.overrides.early_tiers = frozenset({tier})
    ticked.tick(2.0, late_s=0.2)
    assert ticked.admission.breakers[tier].state == "shedding_all"
    ticked.tick(60.0, cpu=1.0)
    assert ticked.admission.load.shares["cpu"] > 0.6
    assert ticked.admission.breakers[tier].state == "admitting"


@pytest.mark.parametrize("action", [None, "admit"])
@pytest.mark.parametrize(("share", "is_dark"), [(0.94, False), (0.96, True), (1.0, True)])
@pytest.mark.parametrize("what", ["memory", "descriptors"])
def test_memory_and_descriptors_at_their_limits_shed_submissions(
    monkeypatch: pytest.MonkeyPatch, what: str, share: float, is_dark: bool, action: Action | None
) -> None:
    """Also under an admit override, and never callbacks."""
    used, limit = {"memory": ("memory_bytes", "memory_bytes_max")}.get(
        what, ("descriptors", "descriptors_max")
    )
    monkeypatch.setattr(machine, used, lambda: round(1000 * share))
    monkeypatch.setattr(machine, limit, lambda: 1000)
    ticked = Ticked()
    if action is not None:
        ticked.overrides.actions["order_submission"] = action
    ticked.tick(3.0)
    assert (ticked.rejected(features.ORDER_SUBMISSION) > 0) == is_dark
    assert ticked.rejected(features.CALLBACKS) == 0


# --- parts of a request ---


def _skipped(ticked: Ticked, of: int = 100) -> int:
    return sum(ticked.admission.skips(features.INVENTORY_CHECK) for _ in range(of))


def _counted(reason: str, mode: str = "act") -> float:
    labels = {"feature": "inventory_check", "reason": reason, "mode": mode}
    return REGISTRY.get_sample_value("tidegate_shed_total", labels) or 0.0


def test_a_part_is_left_out_with_its_tier_and_takes_no_slot() -> None:
    ticked = Ticked()
    ticked.tick(1.0)
    assert _skipped(ticked) == 0
    ticked.tick(0.5, late_s=0.2)
    before, in_use = _counted("shed"), ticked.admission.concurrency.in_use
    assert _skipped(ticked) == 100
    assert ticked.admission.concurrency.in_use == in_use
    ticked.tick(1.0, late_s=0.2)
    assert _counted("shed") == before + 100


def test_watching_leaves_nothing_out_and_counts_what_it_would() -> None:
    ticked = Ticked(msgspec.structs.replace(SETTINGS, shedding="watch"))
    ticked.tick(1.0)
    ticked.tick(0.5, late_s=0.2)
    before = _counted("shed", "watch")
    assert _skipped(ticked) == 0
    ticked.tick(1.0, late_s=0.2)
    assert _counted("shed", "watch") == before + 100
    assert ticked.admission.rates.accepted_per_s() == 0.0


def test_a_part_follows_the_override_of_its_feature() -> None:
    ticked = Ticked()
    ticked.overrides.actions["inventory_check"] = "shed"
    assert _skipped(ticked) == 100
    ticked.overrides.actions["inventory_check"] = "admit"
    ticked.tick(1.0)
    ticked.tick(0.5, late_s=0.2)
    assert _skipped(ticked) == 0
    ticked.committer.waiting_bytes = SETTINGS.ack_bytes_max
    ticked.tick(0.5)
    assert _skipped(ticked) == 100, "the hard load is stronger than an override"


def test_while_the_loop_is_stalled_parts_are_left_out() -> None:
    ticked = Ticked()
    ticked.clock.at_s += 2 * STALL_S
    ticked.watchdog.check()
    assert _skipped(ticked) == 100
    ticked.tick()
    assert _skipped(ticked) == 0


def test_a_part_that_is_left_out_is_no_request() -> None:
    ticked = Ticked(msgspec.structs.replace(SETTINGS, requests_per_s_max=100))
    ticked.overrides.actions["inventory_check"] = "shed"
    for _ in range(60):
        assert ticked.rejected(features.ORDER_SUBMISSION, of=3) == 0
        assert _skipped(ticked, of=3) == 3
        ticked.tick()
    assert ticked.admission.load.shares["rate"] == pytest.approx(3 / TICK_S / 100, rel=0.1)
    assert ticked.admission.rates.accepted_per_s() == pytest.approx(3 / TICK_S, rel=0.1)
