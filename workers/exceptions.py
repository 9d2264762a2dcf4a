"""Exceptions: what is wrong in the ledger becomes a case with an owner and a deadline.

Whichever worker finds a cause, there is one case for it: the ledger's unique key decides.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from gateway.domain import exception_cases
from gateway.domain.exception_cases import CLASSES, Cause, NewCase, Policies
from gateway.runtime.clock import Clock
from gateway.stores.postgres import audit
from gateway.stores.postgres.exceptions import Exceptions
from workers import metrics
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

#: Causes of one source, cases to end and cases to escalate in a round; more is for the next one.
_CASES_MAX = 500
_ROUND_S = 5.0
#: Of its time a finder works so much. A round reads all that is open: where tens of thousands are,
#: it takes a second, and every worker does it.
_WORKING_SHARE = 0.05


class ExceptionFinder:
    """Opens, ends and escalates the cases of causes in the ledger, and publishes their counts.

    Every step may be repeated, and done by several workers at once.
    """

    def __init__(
        self,
        *,
        store: Exceptions,
        policies: Policies,
        part_paid_s: float,
        new_id: Callable[[], UUID],
        clock: Clock,
        rounds: Rounds,
    ) -> None:
        self._store = store
        self._policies = {kind: exception_cases.policy_of(kind, policies) for kind in CLASSES}
        self._part_paid_s = part_paid_s
        self._new_id = new_id
        self._clock = clock
        self._rounds = rounds
        self._resting_until_s = float("-inf")

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set. What fails is tried again by the next round."""
        await self._rounds.run(stopping, self.rested_round, pause_s=_ROUND_S)

    async def rested_round(self) -> bool:
        """Do a round, unless the one before took so long that it is too soon for the next."""
        began_s = self._clock.monotonic_s()
        if began_s < self._resting_until_s:
            return False
        is_more = await self.round()
        if not is_more:
            ended_s = self._clock.monotonic_s()
            self._resting_until_s = ended_s + (ended_s - began_s) * (1 / _WORKING_SHARE - 1)
        return is_more

    async def round(self) -> bool:
        """Do every step once; return whether more is to be done now. Raises ``Unavailable``."""
        now = self._clock.now()
        # Ended first: a case whose cause came back since is then opened again by the same round.
        ended = await self._store.end(now, limit=_CASES_MAX)
        causes = await self._store.causes(now, part_paid_s=self._part_paid_s, limit=_CASES_MAX)
        opened = 0
        if causes:
            cases = [self._case(cause) for cause in causes]
            opened = await self._store.open(cases, actor=audit.BY_ITSELF)
        escalated = await self._store.escalate(now, self._policies, limit=_CASES_MAX)
        for what, count in (("opened", opened), ("ended", ended), ("escalated", escalated)):
            metrics.EXCEPTIONS.labels(what).inc(count)
        if escalated:
            _log.warning("exceptions are overdue and were escalated", extra={"cases": escalated})
        await self._publish()
        # Another worker may have opened the same ones: then there is nothing left for this one.
        return bool(opened) and len(causes) >= _CASES_MAX

    def _case(self, cause: Cause) -> NewCase:
        return exception_cases.open_case(
            cause,
            exception_cases.class_of(cause),
            id_=self._new_id(),
            now=self._clock.now(),
            policies=self._policies,
        )

    async def _publish(self) -> None:
        found = {each.kind: each for each in await self._store.counts(self._clock.now())}
        for kind in CLASSES:
            count = found.get(kind)
            metrics.EXCEPTIONS_OPEN.labels(kind).set(count.open if count else 0)
            metrics.EXCEPTIONS_OVERDUE.labels(kind).set(count.overdue if count else 0)
