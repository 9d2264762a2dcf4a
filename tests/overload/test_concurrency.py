"""The concurrency and in-flight limits: what they admit, and how they adapt."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.features import Tier
from gateway.overload.concurrency import LIMIT_MAX, LIMIT_MIN, ConcurrencyLimit, InFlightLimit


def fill(slots: ConcurrencyLimit, tier: Tier) -> int:
    taken = 0
    while slots.in_use < slots.limits[tier]:
        slots.take()
        taken += 1
    return taken


def serve(slots: ConcurrencyLimit, slot_s: float, *, at_once: int, rounds: int = 10) -> None:
    """Take and leave slots in bursts, each held for ``slot_s``."""
    for _ in range(rounds):
        got = min(at_once, slots.limit - slots.in_use)
        for _ in range(got):
            slots.take()
        for _ in range(got):
            slots.leave(0, slot_s)


def test_slots_are_reserved_for_the_core() -> None:
    slots = ConcurrencyLimit()
    limit = slots.limit
    assert fill(slots, 3) == limit // 2
    assert fill(slots, 2) == 0
    assert fill(slots, 1) == int(limit * 0.9) - limit // 2
    assert fill(slots, 0) == limit - int(limit * 0.9)
    assert slots.in_use == slots.limits[0]
    slots.leave(3, 0.1)
    assert slots.in_use >= slots.limits[3]
    assert slots.in_use < slots.limits[0], "a free slot always admits core"


def test_slow_slots_lower_the_limit() -> None:
    slots = ConcurrencyLimit()
    before = slots.limit
    serve(slots, 0.030, at_once=20)
    slots.adapt(rejecting=0.0)
    assert slots.limit == int(before * 0.9)
    serve(slots, 0.080, at_once=20)
    slots.adapt(rejecting=0.0)
    assert slots.limit == int(int(before * 0.9) * 0.8)


def test_a_wait_due_to_rejections_does_not_lower_the_limit() -> None:
    slots = ConcurrencyLimit()
    before = slots.limit
    serve(slots, 0.080, at_once=20)
    slots.adapt(rejecting=0.31)
    assert slots.limit == before


def test_quick_slots_that_were_all_used_raise_the_limit() -> None:
    slots = ConcurrencyLimit()
    before = slots.limit
    serve(slots, 0.005, at_once=before)
    slots.adapt(rejecting=0.0)
    assert slots.limit == before + before // 8
    # The last window's peak does not count again.
    serve(slots, 0.005, at_once=10)
    slots.adapt(rejecting=0.0)
    assert slots.limit == before + before // 8


def test_a_limit_that_fell_in_a_flood_rises_again_at_the_target_wait() -> None:
    slots = ConcurrencyLimit()
    for _ in range(30):
        serve(slots, 0.080, at_once=200)
        slots.adapt(rejecting=0.0)
    assert slots.limit == LIMIT_MIN
    # A steady load for which there are far too few: nine at once, each for 15 ms.
    for _ in range(10):
        serve(slots, 0.015, at_once=9)
        slots.adapt(rejecting=0.0)
    assert slots.limit > 9
    # And no further than it is used.
    for _ in range(50):
        serve(slots, 0.015, at_once=9)
        slots.adapt(rejecting=0.0)
    assert slots.limit == 12


def test_few_samples_and_samples_of_reads_move_nothing() -> None:
    slots = ConcurrencyLimit()
    before = slots.limit
    serve(slots, 1.0, at_once=4, rounds=10)
    slots.adapt(rejecting=0.0)
    for _ in range(200):
        slots.take()
        slots.leave(3, 1.0)
    slots.adapt(rejecting=0.0)
    assert slots.limit == before


def test_the_mean_use_is_over_time() -> None:
    slots = ConcurrencyLimit()
    slots.mean_use(0.0)
    half = slots.limit // 2
    for _ in range(half):
        slots.take()
    for _ in range(half):
        slots.leave(0, 1.0)
    assert slots.mean_use(4.0) == 0.125
    assert slots.mean_use(5.0) == 0.0
    assert slots.mean_use(5.0) == 0.0
    slots.force(0)
    assert slots.in_use == 1


def test_a_wait_is_seen_once() -> None:
    slots = ConcurrencyLimit()
    assert slots.wait_s() == 0.0
    serve(slots, 0.001, at_once=20, rounds=1)
    assert slots.wait_s() == 0.001
    serve(slots, 0.050, at_once=20, rounds=1)
    assert slots.wait_s() == 0.050
    assert slots.wait_s() == 0.0, "no requests came"


def test_what_was_looked_at_still_moves_the_limit() -> None:
    slots = ConcurrencyLimit()
    before = slots.limit
    for _ in range(10):
        serve(slots, 0.030, at_once=20, rounds=1)
        slots.wait_s()
    slots.adapt(rejecting=0.0)
    assert slots.limit == int(before * 0.9)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 300), st.floats(0, 1)), max_size=60))
def test_the_limit_has_bounds_and_no_slot_is_counted_twice(
    windows: list[tuple[float, int, float]],
) -> None:
    slots = ConcurrencyLimit()
    for slot_s, at_once, rejecting in windows:
        serve(slots, slot_s, at_once=at_once, rounds=2)
        slots.adapt(rejecting=rejecting)
        assert LIMIT_MIN <= slots.limit <= LIMIT_MAX
        assert slots.in_use == 0
    assert fill(slots, 0) == slots.limit


def test_a_burst_may_exceed_the_limit_and_a_flood_may_not_fill_it() -> None:
    in_flight = InFlightLimit()
    in_flight.adapt(answered_per_s=4000.0, cpu=1.0, commit_s=0.01)
    limit = 240

    def limits(rejected: float) -> tuple[int, int]:
        in_flight.update(rejected=rejected, cpu=1.0)
        assert in_flight.limit == limit
        assert in_flight.limits is not None
        return in_flight.limits[0], in_flight.limits[3]

    # As much as for orders while nothing is rejected, and half of all when everything is.
    assert limits(0.0) == (2 * limit, int(0.9 * 2 * limit))
    assert limits(0.5) == (1.25 * limit, int(0.7 * 1.25 * limit))
    assert limits(1.0) == (limit // 2, limit // 4)

    def is_bounded(rejected: float, cpu: float) -> bool:
        in_flight.update(rejected=rejected, cpu=cpu)
        return in_flight.limit is not None and in_flight.limits is not None

    # Idle for a moment: a stall of Postgres where nothing was rejected, and otherwise no change.
    assert is_bounded(0.1, 0.5)
    assert not is_bounded(0.0, 0.5)
    in_flight.adapt(answered_per_s=4000.0, cpu=0.5, commit_s=0.01)
    assert not is_bounded(1.0, 1.0)
