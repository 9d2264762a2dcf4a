"""How a process stands, told to people and programs: its load, its tiers, its modes."""

import os
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.domain.overrides import Override
from gateway.overload.admission import Overload
from gateway.overload.load import Signal
from gateway.overload.overrides import Overrides


class TierState(Struct, frozen=True):
    """One tier: ``share`` of its requests is refused for load now."""

    tier: int
    state: str
    share: float


class State(Struct, frozen=True):
    """One process. ``signal`` decided the load; ``shares`` has every signal's part in it."""

    pid: int
    load: float
    signal: Signal
    shares: Mapping[Signal, float]
    tiers: list[TierState]
    modes: list[Override]


def of(overload: Overload, modes: Overrides) -> State:
    """Return the state of this process."""
    load = overload.load
    return State(
        pid=os.getpid(),
        load=round(load.figure, 3),
        signal=load.signal,
        shares={name: round(share, 3) for name, share in load.shares.items()},
        tiers=[
            TierState(tier, breaker.state, round(overload.refused_share(tier), 3))
            for tier, breaker in overload.tiers.items()
        ],
        modes=modes.standing(),
    )


class Answers:
    """What the local socket answers."""

    def __init__(self, *, overload: Overload, modes: Overrides) -> None:
        self._overload = overload
        self._modes = modes

    async def answer(self, question: bytes) -> bytes:
        """Answer ``state``, or ``look``: the same after a look at what operators said."""
        if question == b"look":
            await self._modes.look()
        elif question != b"state":
            return b'{"error":"ask look or state"}'
        return msgspec.json.encode(of(self._overload, self._modes))
