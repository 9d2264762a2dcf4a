"""The decision: its precedence by a table, and that admission decides by it and nothing else."""

import itertools
from typing import NamedTuple

import msgspec
import pytest

from gateway.domain import features
from gateway.domain.features import TIERS, Tier
from gateway.domain.overrides import Action
from gateway.overload.admission import Conditions, decide
from gateway.overload.concurrency import Slot
from gateway.overload.rejections import Reason, Rejection
from gateway.runtime.watchdog import STALL_S
from tests.overload.test_admission import SETTINGS, Ticked, fill

_FEATURES = {
    0: features.CALLBACKS,
    1: features.ORDER_SUBMISSION,
    2: features.ORDER_READS,
    3: features.ORDER_LISTS,
    4: features.LIVE_STREAM,
}


class Case(NamedTuple):
    """What is true at the moment of a decision."""

    action: Action | None = None
    is_shed: bool = False
    is_stalled: bool = False
    is_hard: bool = False
    is_full_in_flight: bool = False
    is_full: bool = False


def _site(case: Case) -> Ticked:
    """Bring about a case."""
    ticked = Ticked()
    admission = ticked.admission
    if case.action is not None:
        ticked.overrides.actions = {each.name: case.action for each in features.FEATURES}
    if case.is_shed:
        for breaker in admission.breakers.values():
            breaker.state, breaker.share = "shedding_all", 1.0
    if case.is_stalled:
        ticked.clock.at_s += 2 * STALL_S
        ticked.watchdog.check()
    if case.is_hard:
        admission.conditions.load = msgspec.structs.replace(admission.load, hard=1.0)
    if case.is_full_in_flight:
        ticked.committer.waiting, admission.in_flight.limits = 7, [7] * len(TIERS)
    if case.is_full:
        fill(admission.concurrency)
    return ticked


def _decided(ticked: Ticked, tier: Tier, case: Case) -> Reason | None:
    # A tier without a circuit breaker is never shed; an override takes the breaker's place.
    is_shed = case.is_shed and case.action is None and tier > 0
    return decide(tier, case.action, is_shed, ticked.admission.conditions)


@pytest.mark.parametrize(
    ("case", "reasons"),
    [
        # By tier, 0 to 4.
        (Case(), [None] * 5),
        (Case(is_full=True), ["slots"] * 5),
        (Case(is_full_in_flight=True), ["inflight"] * 5),
        (Case(is_stalled=True), [None, None, "stall", "stall", "stall"]),
        (Case(is_shed=True), [None, "shed", "shed", "shed", "shed"]),
        (Case(is_hard=True), [None] * 5),
        (Case("shed"), ["operator"] * 5),
        (Case("admit"), [None] * 5),
        # Each against all that come after it.
        (Case("shed", True, True, True, True, True), ["operator"] * 5),
        (Case(None, True, True, True, True, True), ["inflight", *["shed"] * 4]),
        (Case(None, False, True, True, True, True), ["inflight"] * 2 + ["stall"] * 3),
        (Case(None, False, False, True, True, True), ["inflight"] * 5),
        # An operator's admission overrides the load, not what would end the process.
        (Case("admit", True), [None] * 5),
        (Case("admit", is_stalled=True), [None, None, "stall", "stall", "stall"]),
        (Case("admit", is_hard=True), [None, "shed", "shed", "shed", "shed"]),
        (Case("admit", True, True, True, True, True), ["inflight", "shed", *["stall"] * 3]),
        (Case("admit", is_full_in_flight=True), ["inflight"] * 5),
        (Case("admit", is_full=True), ["slots"] * 5),
    ],
)
def test_the_precedence(case: Case, reasons: list[Reason | None]) -> None:
    ticked = _site(case)
    assert [_decided(ticked, tier, case) for tier in TIERS] == reasons


@pytest.mark.parametrize("action", [None, "shed", "admit"])
def test_admission_decides_by_it_in_every_case(action: Action | None) -> None:
    for flags in itertools.product((False, True), repeat=5):
        case = Case(action, *flags)
        for tier in TIERS:
            ticked = _site(case)
            expected = _decided(ticked, tier, case)
            in_use = ticked.admission.concurrency.in_use
            found = ticked.admission.admit(_FEATURES[tier])
            if expected is None:
                assert isinstance(found, Slot), (case, tier)
                assert ticked.admission.concurrency.in_use == in_use + 1
            else:
                assert isinstance(found, Rejection), (case, tier)
                assert (found.reason, found.feature) == (expected, _FEATURES[tier])
                assert ticked.admission.concurrency.in_use == in_use


def test_a_decision_changes_nothing() -> None:
    ticked = _site(Case(is_shed=True))
    conditions: Conditions = ticked.admission.conditions
    before = msgspec.structs.astuple(conditions), conditions.concurrency.in_use
    for tier in TIERS:
        decide(tier, None, True, conditions)
        decide(tier, "admit", False, conditions)
    assert (msgspec.structs.astuple(conditions), conditions.concurrency.in_use) == before
    assert ticked.admission.asked == 0


@pytest.mark.parametrize(
    ("case", "tier", "factor"),
    [
        (Case("shed"), 3, 5),
        (Case(is_shed=True), 3, 2),
        (Case("admit", is_hard=True), 3, 2),
        (Case(is_stalled=True), 3, 1),
        (Case(is_full_in_flight=True), 0, 1),
        (Case(is_full=True), 0, 1),
    ],
)
def test_how_much_longer_a_client_waits(case: Case, tier: Tier, factor: int) -> None:
    rejection = _site(case).admission.admit(_FEATURES[tier])
    assert isinstance(rejection, Rejection)
    assert rejection.factor == factor


def test_a_partially_shed_tier_rejects_its_share_evenly() -> None:
    ticked = Ticked(SETTINGS)
    breaker = ticked.admission.breakers[3]
    breaker.state, breaker.share = "shedding_some", 0.25
    found = [ticked.admission.admit(features.ORDER_LISTS) for _ in range(40)]
    assert [isinstance(each, Rejection) for each in found] == [False, False, False, True] * 10
