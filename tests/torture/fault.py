"""What a fault is: a part of the system fails under load and is repaired some seconds later.

A module ``faults_<family>.py`` lists its instances in ``FAULTS``; ``catalogue`` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loadtest.history import NO_ANSWER, NOT_CONNECTED
from loadtest.ledger_contents import Stored
from loadtest.verify import Check

if TYPE_CHECKING:
    from tests.torture.world import World


class Impossible(Exception):
    """This machine cannot play the fault; the text says what it lacks."""


class Fault:
    """One failure. A subclass sets the attributes and implements ``strike`` and ``mend``.

    Called in this order, with senders running from before the strike until all has recovered:
    ``prepare`` when the servers run and before any gateway or worker does, ``strike`` after some
    seconds of load, ``mend`` after another ``lasts_s``, ``judge`` when all has settled,
    ``release`` at the end, in any case. An instance plays one round.
    """

    #: Its short name in the table and for ``--only``.
    name: str
    #: What the operator sees, and what they do about it; one sentence each.
    sees: str
    do: str = "Nothing: it recovers by itself."

    #: Seconds between strike and mend; with ``--quick`` the second.
    lasts_s: float = 5.0
    quick_s: float = 2.0
    #: Statuses that senders may see besides 200, 201 and 202.
    refusals: frozenset[int] = frozenset({503, NO_ANSWER, NOT_CONNECTED})
    #: Whether orders must be journaled: without a 202 the round has failed.
    expects_202: bool = False
    #: Prefixes of the reasons for which messages may be parked.
    parks: frozenset[str] = frozenset()
    #: A negative control: a check must fail, or the checks prove nothing.
    is_control: bool = False
    #: Part of the name of the check that a control must fail; "": any.
    breaks: str = ""

    #: Numbers of processes of Tidegate, whether there is a replica, and whether PostgreSQL syncs.
    gateways: int = 1
    workers: int = 1
    replica: bool = False
    fsync: bool = False
    #: Targets that are told of every change of an order, each a receiver of its own.
    targets: int = 0
    #: Requests a second of all senders together, and the number of senders.
    rate: float = 200.0
    senders: int = 32
    #: Seconds after ``mend`` until everything must have recovered.
    recovers_s: float = 60.0

    async def prepare(self, world: World) -> None:
        """Prepare the fault: insert a proxy, change ``world.settings`` or ``world.environment``.

        May raise ``Impossible``.
        """

    async def strike(self, world: World) -> None:
        """Break it. May take long: senders continue meanwhile."""
        raise NotImplementedError

    async def mend(self, world: World) -> None:
        """Repair it: what the machine or the operator's tools would do, nothing more."""

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """Return the checks that only this fault has."""
        return ()

    async def release(self, world: World) -> None:
        """Release what ``prepare`` acquired. Must be harmless after any other method failed."""
