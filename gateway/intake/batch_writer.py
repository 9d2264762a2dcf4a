"""A batch is made durable: committed in time, or journaled, or reported as neither.

One bad row fails a whole statement: the batch is bisected until the row is found, it is parked
with its reason, and the rest commits. Where Postgres does not answer in time, or the circuit
breaker is open, the batch is journaled instead. It may have been committed all the same, which
is not known then: the unique keys make the second insert harmless.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from gateway.domain.errors import Poisoned, TidegateError, Unavailable
from gateway.domain.following import Done, Entry, FollowUp, Replay
from gateway.domain.journaling import LaneName
from gateway.domain.placing import Placed, Placement
from gateway.intake import metrics
from gateway.runtime.circuit_breaker import CircuitBreaker, Permit, State
from gateway.runtime.clock import Clock
from gateway.runtime.recent import Recent

_log = logging.getLogger(__name__)

_OPENNESS: dict[State, float] = {"closed": 0.0, "half_open": 0.5, "open": 1.0}
_TOLD: dict[State, str] = {
    "closed": "commits succeed again",
    "half_open": "a few commits are tried",
    "open": "commits fail, and none is tried for a while",
}

T = TypeVar("T")
R = TypeVar("R")


class Ledger(Protocol):
    """Where entries are committed."""

    @property
    def bad_row(self) -> type[TidegateError]:
        """The error that an entry causes which can never be stored."""
        ...

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed | TidegateError]:
        """Commit orders; return an answer for each, in order: ``bad_row`` for one not storable.

        Raises ``bad_row`` when one of them kept all from being committed.
        """
        ...

    async def follow(self, batch: Sequence[Entry]) -> Sequence[Done]:
        """Commit events, all or none; return the outcome of each, in order."""
        ...

    async def park(self, entry: Placement | FollowUp, reason: str) -> str:
        """Park an entry; return the id under which an operator finds it."""
        ...


class Fallback(Protocol):
    """Where a batch goes that Postgres does not take: the journal. Never raises."""

    @property
    def is_usable(self) -> bool:
        """Whether what it acknowledges is durable now."""
        ...

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed | BaseException]:
        """Store orders; return an answer for each, or ``Unavailable``."""
        ...

    async def follow(self, batch: Sequence[FollowUp]) -> Sequence[Done | BaseException]:
        """Store events; return an outcome for each, or ``Unavailable``."""
        ...


class BatchWriter:
    """Commits batches, and journals what cannot be committed in time.

    ``commit_s``: seconds for one commit; ``fallback_after_s``: seconds after which the journal
    takes over, where there is one. ``breaker`` is the circuit breaker of Postgres.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        fallback: Fallback | None,
        breaker: CircuitBreaker,
        clock: Clock,
        commit_s: float,
        fallback_after_s: float,
    ) -> None:
        self._ledger = ledger
        self._fallback = fallback
        self._breaker = breaker
        self._clock = clock
        self._commit_s = commit_s
        self._fallback_after_s = min(fallback_after_s, commit_s)
        self._abandoned: set[asyncio.Task[object]] = set()
        self._logged_state: State = "closed"
        #: Seconds that the commits of the last ten seconds took, abandoned ones included.
        self.commits_s = Recent(window_s=10.0)

    async def place(
        self, batch: Sequence[Placement], *, is_behind: bool
    ) -> Sequence[Placed | BaseException]:
        """Make orders durable; return an answer for each, or the error it ends with.

        ``is_behind``: so much waits that the journal takes the batch, where there is one.
        """
        placed = await self._commit(batch, self._ledger.place, "placements", is_behind)
        if placed is not None:
            return placed
        if self._fallback is None or not self._fallback.is_usable:
            return [Unavailable("postgres")] * len(batch)
        # An order out of stock is stored nowhere, and only Postgres knows whether it is a repeat.
        storable = [placement for placement in batch if placement.stock != "missing"]
        journaled = iter(await self._fallback.place(storable) if storable else ())
        return [
            Unavailable("postgres") if placement.stock == "missing" else next(journaled)
            for placement in batch
        ]

    async def follow(
        self, batch: Sequence[Entry], *, is_behind: bool
    ) -> Sequence[Done | BaseException]:
        """Make events durable; as ``place``. Only what comes from outside is journaled.

        The sweeper repeats a ``Settle``, and whoever asked for it a ``Replay``, or a trial.
        """
        done = await self._commit(batch, self._ledger.follow, "follow_ups", is_behind)
        if done is not None:
            return done
        if self._fallback is None or not self._fallback.is_usable:
            return [Unavailable("postgres")] * len(batch)
        events = [entry for entry in batch if isinstance(entry, FollowUp) and _is_kept(entry)]
        journaled = iter(await self._fallback.follow(events) if events else ())
        return [
            next(journaled)
            if isinstance(entry, FollowUp) and _is_kept(entry)
            else Unavailable("postgres")
            for entry in batch
        ]

    async def _commit(
        self,
        batch: Sequence[T],
        commit: Callable[[Sequence[T]], Awaitable[Sequence[R | TidegateError]]],
        lane: LaneName,
        is_behind: bool,
    ) -> list[R | BaseException] | None:
        """Commit a batch within its deadline; what it raises becomes each entry's result.

        None: Postgres was not called, or did not answer: whether it committed is not known.
        """
        has_fallback = self._fallback is not None and self._fallback.is_usable
        permit = self._breaker.ask(self._clock.monotonic_s())
        self._report_state()
        if permit is None:
            return None
        if is_behind and has_fallback:
            permit.withdraw()
            return None
        work = asyncio.get_running_loop().create_task(
            self._commit_or_bisect(batch, commit), name=f"commit {lane}"
        )
        deadline_s = self._fallback_after_s if has_fallback else self._commit_s
        began_s = self._clock.monotonic_s()
        try:
            with metrics.COMMIT_S.labels(lane).time():
                await asyncio.wait({work}, timeout=deadline_s)
        except asyncio.CancelledError:
            permit.withdraw()
            work.cancel()
            raise
        now_s = self._clock.monotonic_s()
        self.commits_s.add(now_s - began_s, now_s)
        if not work.done():
            permit.fail(self._clock.monotonic_s())
            self._abandon(work)
            return None
        return self._outcome(work, permit, len(batch))

    def _outcome(
        self, work: "asyncio.Task[list[R | BaseException]]", permit: Permit, rows: int
    ) -> list[R | BaseException] | None:
        now_s = self._clock.monotonic_s()
        try:
            results = work.result()
        except Unavailable as exc:
            # Contention that outlasted its retries shows that Postgres answers.
            if exc.part == "postgres":
                permit.fail(now_s)
            else:
                permit.succeed(now_s)
            self._report_state()
            return None
        except TidegateError as exc:
            permit.succeed(now_s)
            return [exc] * rows
        except BaseException:
            permit.withdraw()
            raise
        permit.succeed(now_s)
        return results

    def _report_state(self) -> None:
        state = self._breaker.state
        if state != self._logged_state:
            self._logged_state = state
            metrics.BREAKER_OPEN.set(_OPENNESS[state])
            _log.warning("postgres: %s", _TOLD[state], extra={"breaker": state})

    def _abandon(self, work: "asyncio.Task[list[R | BaseException]]") -> None:
        # Cancelled and not awaited: telling a silent server to cancel takes as long again.
        work.cancel()
        self._abandoned.add(work)
        work.add_done_callback(self._forget)

    def _forget(self, work: asyncio.Task[object]) -> None:
        self._abandoned.discard(work)
        if not work.cancelled():
            # Nothing waits for it any more. Retrieved, so that asyncio does not report it.
            work.exception()

    async def _commit_or_bisect(
        self,
        batch: Sequence[T],
        commit: Callable[[Sequence[T]], Awaitable[Sequence[R | TidegateError]]],
    ) -> list[R | BaseException]:
        bad_row = self._ledger.bad_row
        try:
            done: Sequence[R | TidegateError] = await commit(batch)
        except bad_row as exc:
            if len(batch) > 1:
                half = len(batch) // 2
                return [
                    *await self._commit_or_bisect(batch[:half], commit),
                    *await self._commit_or_bisect(batch[half:], commit),
                ]
            done = [exc]
        return [
            await self._park(entry, str(result)) if isinstance(result, bad_row) else result
            for entry, result in zip(batch, done, strict=True)
        ]

    async def _park(self, entry: object, reason: str) -> Poisoned:
        if isinstance(entry, Replay):
            # It is parked already.
            return Poisoned(str(entry.parked_id), reason)
        assert isinstance(entry, Placement | FollowUp), "a Settle has nothing that cannot be stored"
        parked_id = await self._ledger.park(entry, reason)
        metrics.PARKED.labels("poison").inc()
        _log.error("parked an unstorable entry", extra={"parked": parked_id, "reason": reason})
        return Poisoned(parked_id, reason)


def _is_kept(entry: FollowUp) -> bool:
    return entry.asked is None or not entry.asked.is_trial
