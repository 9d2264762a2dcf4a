"""An idle process on a busy machine sheds nothing; a real overload is shed within two looks."""

from itertools import cycle

import pytest

from gateway.domain import features
from gateway.overload.concurrency import Slot
from gateway.overload.signals import TICK_S
from gateway.runtime.recent import Recent
from gateway.runtime.watchdog import STALL_S, Watchdog
from tests.overload.test_admission import Ticked
from tests.support.fakes.clock import ManualClock

FEATURES = (
    features.ORDER_LISTS,
    features.ORDER_READS,
    features.ORDER_SUBMISSION,
    features.ORDER_EXPORT,
)


def take(ticked: Ticked, feature: features.Feature, *, late_s: float) -> None:
    """Let a request in, whose handler starts ``late_s`` after its first byte."""
    slot = ticked.admission.admit(feature)
    assert isinstance(slot, Slot)
    ticked.clock.at_s += late_s
    slot.begin()
    slot.leave()
    ticked.clock.at_s -= late_s


def states(ticked: Ticked) -> set[str]:
    return {breaker.state for breaker in ticked.admission.breakers.values()}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("count", [1, 12, 200])
@pytest.mark.parametrize("cpu", [0.0, 0.7])
def test_one_late_look_sheds_nothing(feature: features.Feature, count: int, cpu: float) -> None:
    """However many waited in it, how late the look itself was, and how busy the process is."""
    ticked = Ticked()
    ticked.tick(5.0, cpu=cpu)
    for _ in range(min(count, ticked.admission.concurrency.limits[feature.tier])):
        take(ticked, feature, late_s=0.3)
    ticked.clock.at_s += 0.3
    ticked.tick(late_s=0.3, cpu=cpu)
    ticked.tick(5.0, cpu=cpu)
    assert states(ticked) == {"admitting"}


@pytest.mark.parametrize("feature", FEATURES)
def test_an_idle_process_on_a_busy_machine_sheds_nothing(feature: features.Feature) -> None:
    """Each look is late, and so is each of a dozen requests: others use the machine."""
    ticked = Ticked()
    for n in range(200):
        if n % 16 == 0:
            take(ticked, feature, late_s=0.07)
        ticked.tick(late_s=(n % 3) * 0.04, cpu=0.1)
    assert states(ticked) == {"admitting"}
    assert ticked.admission.load.figure < 0.7


def test_commits_that_are_slow_one_at_a_time_shed_nothing() -> None:
    """A disk that is busy with others: each order waits alone for its commit, and is gone."""
    ticked = Ticked()
    for waiting in [*[1] * 4, 0] * 20:
        ticked.committer.waits_s, ticked.committer.waiting = 0.4, waiting
        ticked.tick(cpu=0.1)
    assert states(ticked) == {"admitting"}


@pytest.mark.parametrize(("slow", "is_shed"), [(1, False), (2, False), (3, True)])
def test_one_slow_commit_of_a_few_is_no_load(slow: int, is_shed: bool) -> None:
    ticked = Ticked()
    ticked.committer.waiting = 4
    for _ in range(10):
        ticked.commits_s.add(0.01, ticked.clock.at_s)
    for _ in range(slow):
        ticked.commits_s.add(2.5, ticked.clock.at_s)
    ticked.tick(2.0)
    assert (ticked.rejected(features.ORDER_LISTS) > 0) == is_shed


def test_a_quantile_of_a_few_samples_is_backed_by_others() -> None:
    recent = Recent(window_s=10.0)
    for value in (1.0, 2.0, 3.0, 4.0):
        recent.add(value, 0.0)
    assert recent.at(0.95, 0.0) == 4.0
    assert recent.at(0.95, 0.0, backed_by=3) == 2.0
    assert recent.at(0.95, 0.0, backed_by=4) == 1.0
    assert recent.at(0.95, 0.0, backed_by=5) == 0.0
    for _ in range(100):
        recent.add(5.0, 0.0)
    assert recent.at(0.95, 0.0, backed_by=3) == recent.at(0.95, 0.0) == 5.0


@pytest.mark.parametrize("rest", [0.0, 0.6])
def test_a_flood_sheds_lists_within_100_ms(rest: float) -> None:
    """From the load of an idle process, and of a busy one: two looks that agree are enough."""
    ticked, looks = Ticked(), 0
    ticked.tick(5.0, cpu=rest)
    while ticked.admission.tier_rejected_share(features.ORDER_LISTS.tier) == 0.0:
        for _ in range(200):
            take(ticked, features.CALLBACKS, late_s=0.08)
        ticked.tick(late_s=0.02, cpu=1.0)
        looks += 1
    # From rest the figure has further to rise.
    assert looks * TICK_S <= (0.15 if rest == 0.0 else 0.10)


def test_a_starved_process_that_is_flooded_sheds() -> None:
    """It uses little CPU, for it gets little: that requests wait says that it is overloaded."""
    ticked = Ticked()
    for _ in range(20):
        for _ in range(15):
            take(ticked, features.CALLBACKS, late_s=0.2)
        ticked.tick(late_s=0.1, cpu=0.1)
    assert ticked.rejected(features.ORDER_LISTS) == 100


def test_a_queue_that_is_seen_now_and_then_sheds() -> None:
    """Not every look of an overload is late."""
    ticked = Ticked()
    late = cycle([True, False])
    for _ in range(20):
        for _ in range(60):
            take(ticked, features.CALLBACKS, late_s=0.1 if next(late) else 0.0)
        ticked.tick(cpu=1.0)
    assert ticked.rejected(features.ORDER_LISTS) == 100


def test_a_paused_machine_is_no_stall_of_the_loop() -> None:
    """The thread that watches was stopped as well, and the process used no CPU meanwhile."""
    clock = ManualClock()
    watchdog = Watchdog(clock=clock)
    clock.at_s += 10.0
    watchdog.check(paused_s=10.0 - STALL_S / 2)
    assert not watchdog.is_stalled
    watchdog.check(paused_s=10.0 - 2 * STALL_S)
    assert watchdog.is_stalled
