"""How a process is doing: one snapshot, taken here, of which every published form is a view.

``Snapshot`` with the process identity is what peers receive through Redis and ``tidegate load``
shows; ``ProcessLoad`` is what operators see (``/v1/admin/load`` and the control socket); the live
stream and the cluster view take single fields of it.
"""

import os
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.domain.features import TIERS, Tier
from gateway.domain.overrides import Override
from gateway.overload.admission import Admission
from gateway.overload.load import Signal
from gateway.overload.overrides import Overrides

#: The words for the states until 0.1, by those of now. They are published for one more release.
_EARLIER_WORDS: Mapping[str, str] = {
    "admitting": "closed",
    "shedding_some": "shedding",
    "shedding_all": "open",
    "recovering": "recovering",
}
_LATER_WORDS = {earlier: word for word, earlier in _EARLIER_WORDS.items()}


class TierSnapshot(Struct, frozen=True):
    """One tier: what becomes of its requests, and the share of them that is rejected for load.

    ``admission`` is ``admitting``, ``shedding_some``, ``shedding_all`` or ``recovering``. The field
    ``state`` says the same in the words of a circuit breaker (``closed``, ``shedding``, ``open``,
    ``recovering``); it is deprecated and goes with the next release.
    """

    # Plain text and numbers: another version may know other states and tiers.
    tier: int
    state: str = msgspec.field(name="admission", default="")
    share: float = 0.0
    earlier_state: str = msgspec.field(name="state", default="")

    def __post_init__(self) -> None:
        """Derive one word from the other: a process of the version before publishes only that."""
        if not self.state:
            word = _LATER_WORDS.get(self.earlier_state, self.earlier_state)
            msgspec.structs.force_setattr(self, "state", word)
        elif not self.earlier_state:
            word = _EARLIER_WORDS.get(self.state, self.state)
            msgspec.structs.force_setattr(self, "earlier_state", word)


class Snapshot(Struct, frozen=True, kw_only=True):
    """One process at one moment. Its field names are published and stored: they stay.

    ``load`` is what it acts on; ``back`` is what it measures behind itself, without its peers.
    """

    load: float
    front: float
    back: float
    #: What decided the load.
    signal: str
    #: Every signal's share of the load, 0 to 1.25.
    shares: dict[str, float]
    #: Every tier, also those without a circuit breaker.
    tiers: list[TierSnapshot]
    #: Operators' overrides: the action by the feature's name.
    actions: dict[str, str] = msgspec.field(name="said", default_factory=dict)
    slots_limit: int
    slots_in_use: int
    #: None: nothing bounds it now.
    in_flight_limit: int | None
    #: Events waiting for their commit.
    waiting: int
    accepted_per_s: float
    #: By tier.
    rejected_per_s: dict[str, float] = msgspec.field(name="refused_per_s")


class ProcessLoad(Struct, frozen=True):
    """The load of one process, its tiers with a circuit breaker, and its overrides.

    ``signal`` decided the load; ``shares`` has every signal's part in it; ``modes`` are the
    overrides that are active, planned, or pending approval.
    """

    pid: int
    load: float
    signal: Signal
    shares: Mapping[str, float]
    tiers: list[TierSnapshot]
    overrides: list[Override] = msgspec.field(name="modes")


def take(admission: Admission) -> Snapshot:
    """Return how this process is doing; figures are rounded as they are published."""
    load, rates = admission.load, admission.rates
    return Snapshot(
        load=round(load.figure, 3),
        front=round(load.front, 3),
        back=round(load.own_back, 3),
        signal=load.signal,
        shares={name: round(share, 3) for name, share in load.shares.items()},
        tiers=[_tier(admission, tier) for tier in TIERS],
        actions=dict(admission.actions),
        slots_limit=admission.concurrency.limit,
        slots_in_use=admission.concurrency.in_use,
        in_flight_limit=admission.in_flight.limit,
        waiting=admission.waiting,
        accepted_per_s=round(rates.accepted_per_s(), 1),
        rejected_per_s={
            str(tier): round(count, 1) for tier, count in rates.rejected_per_s().items()
        },
    )


def _tier(admission: Admission, tier: Tier) -> TierSnapshot:
    breaker = admission.breakers.get(tier)
    if breaker is None:
        return TierSnapshot(tier, "admitting", 0.0)
    return TierSnapshot(tier, breaker.state, round(admission.tier_rejected_share(tier), 3))


def process_load(admission: Admission, overrides: Overrides) -> ProcessLoad:
    """Return the operators' view of this process."""
    taken = take(admission)
    return ProcessLoad(
        pid=os.getpid(),
        load=taken.load,
        signal=admission.load.signal,
        shares=taken.shares,
        tiers=[each for each in taken.tiers if each.tier in admission.breakers],
        overrides=overrides.current(),
    )


class ControlAnswers:
    """What the control socket answers."""

    def __init__(self, *, admission: Admission, overrides: Overrides) -> None:
        self._admission = admission
        self._overrides = overrides

    async def answer(self, question: bytes) -> bytes:
        """Answer ``state``, or ``look``: the same after a refresh of the overrides."""
        if question == b"look":
            await self._overrides.refresh()
        elif question != b"state":
            return b'{"error":"ask look or state"}'
        return msgspec.json.encode(process_load(self._admission, self._overrides))
