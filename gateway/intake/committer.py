"""The committer: two lanes of group commit, so that the fast stay fast.

Placements only insert; follow-ups lock the orders they change. A batch first asks Redis which
of its entries were made durable before, makes the rest so, answers, and then lets Redis know.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.domain import fingerprint
from gateway.domain.errors import Unavailable
from gateway.domain.following import Done, FollowUp, Settle
from gateway.domain.journaling import Lane
from gateway.domain.placing import Placed, Placement
from gateway.intake import metrics
from gateway.intake.batch_writer import BatchWriter
from gateway.runtime.batching import Batcher, Full
from gateway.runtime.settings import Settings


class ResultCache(Protocol):
    """Where durable results are remembered. Never raises, never lies."""

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """The result of each digest, or None."""
        ...

    async def store(self, results: Mapping[bytes, bytes]) -> None:
        """Keep results that are committed or journaled."""
        ...


_encode_placed = msgspec.msgpack.Encoder().encode
_decode_placed = msgspec.msgpack.Decoder(Placed).decode
_REPEAT = Done("repeat")


class Committer:
    """Takes events, answers each once it is durable."""

    def __init__(
        self, *, writer: BatchWriter, cache: ResultCache, settings: Settings, is_draining: bool
    ) -> None:
        """``is_draining``: what comes was journaled, and must reach the ledger.

        That Redis remembers it says no more than that, so Redis is told and not asked.
        """
        self._writer = writer
        self._cache = cache
        self._is_draining = is_draining
        self._behind_rows = settings.journal_queue
        self._storing: set[asyncio.Task[None]] = set()
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

    @property
    def waiting_bytes(self) -> int:
        """The bytes of these events, as they arrived."""
        return self._placements.waiting_bytes + self._follow_ups.waiting_bytes

    @property
    def answered(self) -> int:
        """Events answered so far."""
        return self._placements.answered + self._follow_ups.answered

    def answer_s(self) -> float:
        """Return the seconds in which 19 of 20 batches were answered, of the last five."""
        now_s = asyncio.get_running_loop().time()
        lanes = (self._placements.waits_s, self._follow_ups.waits_s)
        return max(lane.at(0.95, now_s) for lane in lanes)

    async def drain(self) -> None:
        """Return when everything taken was answered and Redis was told."""
        await self._placements.drain()
        await self._follow_ups.drain()
        if self._storing:
            await asyncio.wait(self._storing)

    async def _flush_placements(
        self, batch: Sequence[Placement]
    ) -> Sequence[Placed | BaseException]:
        found = await self._look_up([placement.exact for placement in batch])
        known = [None if result is None else _from_redis(result) for result in found]
        rest = [p for p, result in zip(batch, known, strict=True) if result is None]
        fresh: Sequence[Placed | BaseException] = []
        if rest:
            is_behind = self._observe("placements", len(rest), self._placements.waiting)
            fresh = await self._writer.place(rest, is_behind=is_behind)
            self._observe_waiting("placements", self._placements.waiting - len(batch))
            self._store(
                {
                    placement.exact: _encode_placed(_as_repeat(placed))
                    for placement, placed in zip(rest, fresh, strict=True)
                    if isinstance(placed, Placed) and _is_repeatable(placement, placed)
                }
            )
        answers = iter(fresh)
        return [next(answers) if result is None else result for result in known]

    async def _flush_follow_ups(
        self, batch: Sequence[FollowUp | Settle]
    ) -> Sequence[Done | BaseException]:
        digests = [_digest(entry) for entry in batch]
        asked = [digest for digest in digests if digest is not None]
        answers = await self._look_up(asked) if asked else []
        known = {d for d, found in zip(asked, answers, strict=True) if found is not None}
        if known:
            metrics.REPEATS.labels("redis").inc(len(known))
        rest = [e for e, digest in zip(batch, digests, strict=True) if digest not in known]
        fresh: Sequence[Done | BaseException] = []
        if rest:
            is_behind = self._observe("follow_ups", len(rest), self._follow_ups.waiting)
            fresh = await self._writer.follow(rest, is_behind=is_behind)
            self._observe_waiting("follow_ups", self._follow_ups.waiting - len(batch))
            done = {
                digest: b"1"
                for entry, result in zip(rest, fresh, strict=True)
                if isinstance(result, Done) and (digest := _digest(entry)) is not None
            }
            self._store(done)
        results = iter(fresh)
        return [_REPEAT if digest in known else next(results) for digest in digests]

    async def _look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        if self._is_draining:
            return [None] * len(digests)
        return await self._cache.look_up(digests)

    def _observe(self, lane: Lane, rows: int, waiting: int) -> bool:
        """Count a batch, and say whether too much waits behind it."""
        metrics.BATCH_ROWS.labels(lane).observe(rows)
        self._observe_waiting(lane, waiting)
        return waiting > self._behind_rows

    def _observe_waiting(self, lane: Lane, waiting: int) -> None:
        metrics.WAITING.labels(lane).set(waiting)

    def _store(self, results: Mapping[bytes, bytes]) -> None:
        if not results:
            return
        # Outside the reply's way: the answers are true already.
        task = asyncio.get_running_loop().create_task(
            self._cache.store(results), name="store results"
        )
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)


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


def _as_repeat(placed: Placed) -> Placed:
    return msgspec.structs.replace(placed, answer="replayed", has_waiting=False)


def _from_redis(result: bytes) -> Placed | None:
    try:
        placed = _decode_placed(result)
    except msgspec.MsgspecError:
        # Another version's words, or somebody else's: a miss, and Postgres knows the answer.
        return None
    metrics.REPEATS.labels("redis").inc()
    return placed
