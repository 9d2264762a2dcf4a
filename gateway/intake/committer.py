"""The committer: two lanes of group commit, so that the fast stay fast.

Placements only insert; follow-ups lock the orders they change. A batch first asks Redis which
of its entries were committed before, commits the rest, answers, and then lets Redis know.
One bad row fails a whole statement: the batch is halved until the culprit stands alone, it is
parked with its reason, and the rest commits.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from gateway.domain import fingerprint
from gateway.domain.errors import Poisoned, TidegateError, Unavailable
from gateway.domain.following import Done, FollowUp, Settle
from gateway.domain.placing import Placed, Placement
from gateway.intake import metrics
from gateway.runtime.batching import Batcher, Full
from gateway.runtime.settings import Settings

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class Ledger(Protocol):
    """Where events become true. ``bad_row`` is the error that one unstorable entry causes."""

    @property
    def bad_row(self) -> type[TidegateError]:
        """The error that an entry causes that can never be stored."""
        ...

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed | TidegateError]:
        """Commit orders; an answer for each, in order, ``bad_row`` for one that can not be.

        Raises ``bad_row`` when none was committed for the sake of one.
        """
        ...

    async def follow(self, batch: Sequence[FollowUp | Settle]) -> Sequence[Done]:
        """Commit events, all or none; what became of each, in order."""
        ...

    async def park(self, entry: Placement | FollowUp, reason: str) -> str:
        """Set an entry aside; the id a person finds it by."""
        ...


class Results(Protocol):
    """Where committed results are remembered. Never raises, never lies."""

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """The result of each digest, or None."""
        ...

    async def remember(self, results: Mapping[bytes, bytes]) -> None:
        """Keep results that are committed."""
        ...


_encode_placed = msgspec.msgpack.Encoder().encode
_decode_placed = msgspec.msgpack.Decoder(Placed).decode
_REPEAT = Done("repeat")


class Committer:
    """Takes events, answers each after its commit."""

    def __init__(self, *, ledger: Ledger, results: Results, settings: Settings) -> None:
        self._ledger = ledger
        self._results = results
        self._commit_s = settings.commit_s
        self._remembering: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Task[object]] = set()
        bounds: dict[str, Any] = {
            "rows_max": settings.batch_rows_max,
            "bytes_max": settings.batch_bytes_max,
            "in_flight": settings.batches_in_flight,
            "waiting_max": settings.waiting_max,
            # Waiting and committing together stay below the 5 s that a provider waits.
            "wait_s": settings.commit_s / 2,
            "late": lambda: Unavailable("postgres"),
        }
        self._placements: Batcher[Placement, Placed] = Batcher(
            name="placements", flush=self._flush_placements, **bounds
        )
        self._follow_ups: Batcher[FollowUp | Settle, Done] = Batcher(
            name="follow_ups", flush=self._flush_follow_ups, **bounds
        )

    def place(self, placement: Placement) -> asyncio.Future[Placed]:
        """Queue an order. Raises ``Unavailable`` when too many wait."""
        try:
            return self._placements.put(placement, len(placement.raw))
        except Full as exc:
            raise Unavailable("committer") from exc

    def follow(self, entry: FollowUp | Settle) -> asyncio.Future[Done]:
        """Queue an event. Raises ``Unavailable`` when too many wait."""
        size = len(entry.raw or b"") if isinstance(entry, FollowUp) else 0
        try:
            return self._follow_ups.put(entry, size)
        except Full as exc:
            raise Unavailable("committer") from exc

    @property
    def waiting(self) -> int:
        """Events taken and not yet answered."""
        return self._placements.waiting + self._follow_ups.waiting

    async def drain(self) -> None:
        """Return when everything taken was answered and Redis was told."""
        await self._placements.drain()
        await self._follow_ups.drain()
        if self._remembering:
            await asyncio.wait(self._remembering)

    async def _flush_placements(
        self, batch: Sequence[Placement]
    ) -> Sequence[Placed | BaseException]:
        found = await self._results.look_up([placement.exact for placement in batch])
        known = [None if result is None else _from_redis(result) for result in found]
        rest = [p for p, result in zip(batch, known, strict=True) if result is None]
        fresh: list[Placed | BaseException] = []
        if rest:
            fresh = await self._commit(rest, self._ledger.place, "placements")
            self._remember(
                {
                    placement.exact: _encode_placed(_as_remembered(placed))
                    for placement, placed in zip(rest, fresh, strict=True)
                    if isinstance(placed, Placed) and _is_repeatable(placement, placed)
                }
            )
        committed = iter(fresh)
        return [next(committed) if result is None else result for result in known]

    async def _flush_follow_ups(
        self, batch: Sequence[FollowUp | Settle]
    ) -> Sequence[Done | BaseException]:
        digests = [_digest(entry) for entry in batch]
        asked = [digest for digest in digests if digest is not None]
        answers = await self._results.look_up(asked) if asked else []
        known = {d for d, found in zip(asked, answers, strict=True) if found is not None}
        if known:
            metrics.REMEMBERED.labels("redis").inc(len(known))
        rest = [e for e, digest in zip(batch, digests, strict=True) if digest not in known]
        fresh: list[Done | BaseException] = []
        if rest:
            fresh = await self._commit(rest, self._ledger.follow, "follow_ups")
            done = {
                digest: b"1"
                for entry, result in zip(rest, fresh, strict=True)
                if isinstance(result, Done) and (digest := _digest(entry)) is not None
            }
            self._remember(done)
        committed = iter(fresh)
        return [_REPEAT if digest in known else next(committed) for digest in digests]

    async def _commit(
        self,
        batch: list[T],
        commit: Callable[[Sequence[T]], Awaitable[Sequence[R | TidegateError]]],
        lane: str,
    ) -> list[R | BaseException]:
        """Commit a batch within its deadline; what it raises becomes each entry's result."""
        metrics.BATCH_ROWS.labels(lane).observe(len(batch))
        metrics.WAITING.labels(lane).set(self._waiting(lane))
        work = asyncio.get_running_loop().create_task(
            self._commit_or_halve(batch, commit), name=f"commit {lane}"
        )
        with metrics.COMMIT_S.labels(lane).time():
            await asyncio.wait({work}, timeout=self._commit_s)
        metrics.WAITING.labels(lane).set(self._waiting(lane) - len(batch))
        if not work.done():
            self._give_up(work)
            return [Unavailable("postgres")] * len(batch)
        try:
            return work.result()
        except TidegateError as exc:
            return [exc] * len(batch)

    def _waiting(self, lane: str) -> int:
        return (self._placements if lane == "placements" else self._follow_ups).waiting

    def _give_up(self, work: "asyncio.Task[list[R | BaseException]]") -> None:
        # It is told to stop and not waited for: to tell a silent server takes as long again.
        work.cancel()
        self._given_up.add(work)
        work.add_done_callback(self._forget)

    def _forget(self, work: asyncio.Task[object]) -> None:
        self._given_up.discard(work)
        if not work.cancelled():
            # Too late for anybody to hear of it; asyncio must not complain about that.
            work.exception()

    async def _commit_or_halve(
        self,
        batch: list[T],
        commit: Callable[[Sequence[T]], Awaitable[Sequence[R | TidegateError]]],
    ) -> list[R | BaseException]:
        bad_row = self._ledger.bad_row
        try:
            done: Sequence[R | TidegateError] = await commit(batch)
        except bad_row as exc:
            if len(batch) > 1:
                half = len(batch) // 2
                return [
                    *await self._commit_or_halve(batch[:half], commit),
                    *await self._commit_or_halve(batch[half:], commit),
                ]
            done = [exc]
        return [
            await self._set_aside(entry, str(result)) if isinstance(result, bad_row) else result
            for entry, result in zip(batch, done, strict=True)
        ]

    async def _set_aside(self, entry: object, reason: str) -> Poisoned:
        assert isinstance(entry, Placement | FollowUp), "a Settle carries nothing that can be bad"
        parked_id = await self._ledger.park(entry, reason)
        metrics.PARKED.labels("poison").inc()
        _log.error("parked what can not be stored", extra={"parked": parked_id, "reason": reason})
        return Poisoned(parked_id, reason)

    def _remember(self, results: Mapping[bytes, bytes]) -> None:
        if not results:
            return
        # Outside the reply's way: the answers are true already.
        task = asyncio.get_running_loop().create_task(
            self._results.remember(results), name="remember"
        )
        self._remembering.add(task)
        task.add_done_callback(self._remembering.discard)


def _digest(entry: FollowUp | Settle) -> bytes | None:
    if isinstance(entry, Settle):
        return None
    return fingerprint.callback(entry.source, entry.source_key)


def _is_repeatable(placement: Placement, placed: Placed) -> bool:
    # A look-alike's answer holds for ten minutes from the first order on, which only the
    # fingerprint knows; refusals may change when the order in the way does.
    return placed.answer == "placed" or (
        placed.answer == "replayed" and placed.order_no == placement.submission.order_no
    )


def _as_remembered(placed: Placed) -> Placed:
    return msgspec.structs.replace(placed, answer="replayed", has_waiting=False)


def _from_redis(result: bytes) -> Placed | None:
    try:
        placed = _decode_placed(result)
    except msgspec.MsgspecError:
        # Another version's words, or somebody else's: a miss, and Postgres knows the answer.
        return None
    metrics.REMEMBERED.labels("redis").inc()
    return placed
