"""What a fault is: something that breaks under load and, some seconds later, is whole again.

A module ``faults_<family>.py`` lists its instances in ``FAULTS``; nothing else needs to know.
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
    """This machine can not play the fault; the text says what it lacks."""


class Fault:
    """One way to break. A subclass sets what differs and says how to ``strike`` and to ``mend``.

    In this order, and with senders at work from before the strike until all has recovered:
    ``prepare`` once the servers run and before any gateway or worker does, ``strike`` after some
    seconds of load, ``mend`` after another ``lasts_s``, ``judge`` when all has settled,
    ``release`` at the end, whatever happened. An instance plays one round.
    """

    #: Short, in words: how ``--only`` and the table call it.
    name: str
    #: What the operator sees, and what to do about it; one sentence each.
    sees: str
    do: str = "Nothing: it recovers by itself."

    #: Seconds between strike and mend; with ``--quick`` the second.
    lasts_s: float = 5.0
    quick_s: float = 2.0
    #: Statuses that senders may see besides 200, 201 and 202.
    refusals: frozenset[int] = frozenset({503, NO_ANSWER, NOT_CONNECTED})
    #: Without a 202 the round has failed: the journal had to step in.
    expects_202: bool = False
    #: How the reasons begin for which messages may be parked here.
    parks: frozenset[str] = frozenset()
    #: A negative control: the check must fail, or it is worth nothing.
    is_control: bool = False
    #: The check that a control must fail, if it is not any.
    breaks: str = ""

    #: What is started: processes of Tidegate, a replica, and whether the servers sync to disk.
    gateways: int = 1
    workers: int = 1
    replica: bool = False
    fsync: bool = False
    #: Requests a second that the senders make, and how many of them there are.
    rate: float = 200.0
    senders: int = 32
    #: Seconds until everything must be well again after the mend.
    recovers_s: float = 60.0

    async def prepare(self, world: World) -> None:
        """Get ready: put a proxy in between, change ``world.settings`` or ``world.environment``.

        May raise ``Impossible``.
        """

    async def strike(self, world: World) -> None:
        """Break it. May last: senders go on meanwhile."""
        raise NotImplementedError

    async def mend(self, world: World) -> None:
        """Make it whole: what the machine or the operator's tools would do, nothing more."""

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """Check what only this fault promises."""
        return ()

    async def release(self, world: World) -> None:
        """Give back what ``prepare`` took. Must be harmless after any of the others failed."""
