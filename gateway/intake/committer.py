"""The committer: two lanes of group commit, so that the fast stay fast.

Placements only insert; follow-ups lock the orders they change. A batch first asks the result
cache which of its entries are repeats, makes the rest durable, answers, and then stores the new
results in the cache.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from gateway.domain import fingerprint
from gateway.domain.errors import Unavailable
from gateway.domain.following import Done, Entry, FollowUp
from gateway.domain.journaling import LaneName
from gateway.domain.placing import Placed, Placement
from gateway.intake import metrics
from gateway.intake.batch_writer import BatchWriter
from gateway.runtime.batching import Batcher, Full
from gateway.runtime.settings import Settings

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class ResultCache(Protocol):
    """Where durable results are cached. Never raises; a hit is always true."""

    async def look_up(self, digests: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the result of each digest, or None."""
        ...

    async def store(self, results: Mapping[bytes, bytes]) -> None:
        """Store results that are committed or journaled, by digest."""
        ...


class Writer(Protocol[T_contra, R_co]):
    """Makes a batch durable: ``BatchWriter.place`` or ``BatchWriter.follow``."""

    def __call__(
        self, batch: Sequence[T_contra], *, is_behind: bool
    ) -> Awaitable[Sequence[R_co | BaseException]]:
        """Return an answer for each entry, or the error it ends with."""
        ...


class Lane(Generic[T, R]):
    """What differs between the lanes: how entries are recognised, cached and made durable.

    ``digests`` gives the name of each entry in the cache; None: it is never there. ``decode``
    turns what was cached into the answer; None is a miss. ``encode`` gives what a repeat is to be
    answered with; None: this answer must not be repeated.
    """

    __slots__ = ("decode", "digests", "encode", "name", "write")

    def __init__(
        self,
        *,
        name: LaneName,
        digests: Callable[[Sequence[T]], Sequence[bytes | None]],
        decode: Callable[[bytes], R | None],
        encode: Callable[[T, R], bytes | None],
        write: Writer[T, R],
    ) -> None:
        self.name = name
        self.digests = digests
        self.decode = decode
        self.encode = encode
        self.write = write


#: Batches of which so many took long: one says nothing of the database.
_BATCHES_MIN = 3

_encode_placed = msgspec.msgpack.Encoder().encode
_decode_placed = msgspec.msgpack.Decoder(Placed).decode
_REPEAT = Done("repeat")


class Committer:
    """Takes entries, and answers each once it is durable.

    Invariants:

    - Each entry is answered exactly once: with its result after the COMMIT or the fsync of the
      journal, or with the error it ends with. Nothing is acknowledged before it is durable.
    - The cache holds durable results only, and no answer waits for it to be written. A hit saves
      work, a miss costs work, and losing all of it changes no answer.
    - The lanes share nothing but the connections: neither waits for a batch of the other.
    - What waits is bounded in rows (``waiting_max``) and in seconds: ``commit_s / 2`` until its
      batch begins, then ``commit_s``.
    - While draining, the cache is written and never asked: that a journaled entry is cached says
      nothing about whether it reached the ledger.
    """

    def __init__(
        self, *, writer: BatchWriter, cache: ResultCache, settings: Settings, is_draining: bool
    ) -> None:
        """``is_draining``: what comes was journaled, and must reach the ledger."""
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
        placements: Lane[Placement, Placed] = Lane(
            name="placements",
            digests=_placement_digests,
            decode=_decode_placement,
            encode=_encode_placement,
            write=writer.place,
        )
        follow_ups: Lane[Entry, Done] = Lane(
            name="follow_ups",
            digests=_follow_up_digests,
            decode=_decode_follow_up,
            encode=_encode_follow_up,
            write=writer.follow,
        )
        self._placements: Batcher[Placement, Placed] = Batcher(
            name="placements",
            flush=lambda batch: self._flush(placements, batch, self._placements),
            **bounds,
        )
        self._follow_ups: Batcher[Entry, Done] = Batcher(
            name="follow_ups",
            flush=lambda batch: self._flush(follow_ups, batch, self._follow_ups),
            **bounds,
        )

    def place(self, placement: Placement) -> asyncio.Future[Placed]:
        """Queue an order. Raises ``Unavailable`` when too many wait."""
        try:
            return self._placements.put(placement, len(placement.raw))
        except Full as exc:
            raise Unavailable("committer") from exc

    def follow(self, entry: Entry) -> asyncio.Future[Done]:
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
        return max(lane.at(0.95, now_s, backed_by=_BATCHES_MIN) for lane in lanes)

    async def drain(self) -> None:
        """Return when everything taken was answered and stored in the cache."""
        await self._placements.drain()
        await self._follow_ups.drain()
        if self._storing:
            await asyncio.wait(self._storing)

    async def _flush(
        self, lane: Lane[T, R], batch: Sequence[T], queue: Batcher[T, R]
    ) -> Sequence[R | BaseException]:
        # The acknowledgement: what is returned here is sent as a 2xx. Each answer comes from
        # `_write`, which has it only after the COMMIT or the journal's fsync, or from the cache,
        # where it was stored only after that.
        digests = lane.digests(batch)
        cached = await self._look_up(lane, digests)
        if not cached:
            return await self._write(lane, batch, digests, queue, len(batch))
        rest = [n for n in range(len(batch)) if n not in cached]
        answers: Iterator[R | BaseException] = iter(())
        if rest:
            entries, unknown = [batch[n] for n in rest], [digests[n] for n in rest]
            written = await self._write(lane, entries, unknown, queue, len(batch))
            answers = iter(written)
        return [cached[n] if n in cached else next(answers) for n in range(len(batch))]

    async def _look_up(self, lane: Lane[T, R], digests: Sequence[bytes | None]) -> dict[int, R]:
        """Return the cached answers by the position of their entry in the batch."""
        asked = [digest for digest in digests if digest is not None]
        if self._is_draining or not asked:
            return {}
        values = await self._cache.look_up(asked)
        # Nearly every entry is new.
        if not any(values):
            return {}
        found = iter(values)
        cached: dict[int, R] = {}
        for n, digest in enumerate(digests):
            value = None if digest is None else next(found)
            if value is not None and (answer := lane.decode(value)) is not None:
                cached[n] = answer
        metrics.REPEATS.labels("redis").inc(len(cached))
        return cached

    async def _write(
        self,
        lane: Lane[T, R],
        entries: Sequence[T],
        digests: Sequence[bytes | None],
        queue: Batcher[T, R],
        answered: int,
    ) -> Sequence[R | BaseException]:
        """Make entries durable and let the cache know; return an answer for each, or its error.

        ``answered``: entries that are answered together with these, themselves included.
        """
        metrics.BATCH_ROWS.labels(lane.name).observe(len(entries))
        waiting = queue.waiting
        metrics.WAITING.labels(lane.name).set(waiting)
        answers = await lane.write(entries, is_behind=waiting > self._behind_rows)
        metrics.WAITING.labels(lane.name).set(queue.waiting - answered)
        encode = lane.encode
        self._store(
            {
                digest: value
                for digest, entry, answer in zip(digests, entries, answers, strict=True)
                if digest is not None
                and not isinstance(answer, BaseException)
                and (value := encode(entry, answer)) is not None
            }
        )
        return answers

    def _store(self, results: Mapping[bytes, bytes]) -> None:
        if not results:
            return
        # Outside the reply's way: the answers are true already.
        task = asyncio.get_running_loop().create_task(
            self._cache.store(results), name="store results"
        )
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)


def _placement_digests(batch: Sequence[Placement]) -> list[bytes | None]:
    # A shop may tell an order anew: what was the stored order once need not be it now.
    return [None if placement.is_from_shop else placement.exact for placement in batch]


def _encode_placement(_: Placement, placed: Placed) -> bytes | None:
    # Rejections may change when the order in the way does.
    if placed.answer in ("placed", "replayed"):
        repeat = msgspec.structs.replace(placed, answer="replayed", has_waiting=False)
        return _encode_placed(repeat)
    return None


def _decode_placement(value: bytes) -> Placed | None:
    try:
        return _decode_placed(value)
    except msgspec.MsgspecError:
        # Of another version, or written by something else: a miss, and Postgres has the answer.
        return None


def _follow_up_digests(batch: Sequence[Entry]) -> list[bytes | None]:
    # The cache knows that an action was done, and not what it was answered.
    return [
        fingerprint.callback(entry.source, entry.source_key)
        if isinstance(entry, FollowUp) and entry.asked is None
        else None
        for entry in batch
    ]


def _encode_follow_up(_: Entry, __: Done) -> bytes:
    # That it was recorded is all that a repeat needs to know.
    return b"1"


def _decode_follow_up(_: bytes) -> Done:
    return _REPEAT
