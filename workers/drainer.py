"""The drainer: commits what was journaled to the ledger, through the same intake as everything.

Entries are acknowledged after their commit, never before: after a crash in between they are
drained again, and the unique keys make that harmless. Payments and shipments go before orders.
Several drainers share the streams; entries of one that died are taken over. What cannot be opened
is parked, and keeps nothing else waiting.
"""

import asyncio
import logging
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain.errors import Invalid, Poisoned, TidegateError
from gateway.domain.journaling import LaneName
from gateway.domain.placing import Placed
from gateway.intake import told_anew
from gateway.intake.accept import Intake
from gateway.intake.journal_codec import JournalCodec, JournaledOrder, Unreadable
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.stores import sealing, unreadable
from gateway.stores.postgres.aliases import Aliases
from gateway.stores.postgres.key_ring import RingCheck
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.redis.journal_streams import JournalStreams, ReadEntry
from gateway.stores.sealing import UnknownKey
from workers import metrics
from workers.rounds import Rounds

_log = logging.getLogger(__name__)

_LANES: tuple[LaneName, ...] = ("follow_ups", "placements")
#: Entries of one stream at a time: a batch of the committer.
_READ_MAX = 200
#: Seconds between two polls of empty streams.
_POLL_S = 0.2
#: Seconds to wait after a part did not answer.
_UNAVAILABLE_PAUSE_S = 0.5
#: Seconds after which an entry that was read and not acknowledged may be taken over.
_IDLE_S = 15.0
#: Seconds between two searches for such entries.
_TAKE_OVER_EVERY_S = 5.0
#: How often an entry may fail with an unexpected error before it is parked.
_TRIES_MAX = 3


class _Outcome(Struct, frozen=True):
    """Whether an entry may leave the journal, and the (alias, order id) that it leaves behind.

    ``is_kept``: it stays there and is not tried again here before others could take it over.
    """

    is_settled: bool
    alias: tuple[UUID, UUID] | None = None
    is_kept: bool = False
    #: It is in no order: it waits for a person.
    is_parked: bool = False


_SETTLED = _Outcome(True)
_PARKED = _Outcome(True, is_parked=True)
_RETRY = _Outcome(False)
_KEPT = _Outcome(False, is_kept=True)


class Drainer:
    """Empties the journal. One of several; ``consumer`` is its unique name.

    Invariant: an entry is removed from the journal only after it was committed or parked.
    """

    def __init__(
        self,
        *,
        streams: JournalStreams,
        codec: JournalCodec,
        intake: Intake,
        ledger: Ledger,
        aliases: Aliases,
        ring_check: RingCheck,
        clock: Clock,
        rounds: Rounds,
        consumer: str,
    ) -> None:
        self._streams = streams
        self._codec = codec
        self._intake = intake
        self._ledger = ledger
        self._aliases = aliases
        self._ring_check = ring_check
        self._clock = clock
        self._rounds = rounds
        self._consumer = consumer
        self._pending: dict[tuple[int, LaneName], list[ReadEntry]] = {}
        self._tries: dict[str, int] = {}
        #: How many entries of a stream are drained at a time, where fewer than ``_READ_MAX``.
        self._sizes: dict[tuple[int, LaneName], int] = {}
        #: Streams whose last reply was lost: entries may be assigned to this consumer unseen.
        self._uncertain: set[tuple[int, LaneName]] = set()
        self._took_over_s = float("-inf")
        self._checking: dict[int, asyncio.Task[bool]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Drain until ``stopping`` is set. What fails stays and is tried again."""
        while not stopping.is_set():
            try:
                settled = await self.round()
            except TidegateError as exc:
                self._rounds.postponed(exc)
                settled = 0
            else:
                self._rounds.done()
            if self._pending and not settled:
                await lifecycle.pause(stopping, _UNAVAILABLE_PAUSE_S)
            elif not settled:
                await lifecycle.pause(stopping, _POLL_S)

    async def round(self) -> int:
        """Drain a batch of each stream, follow-ups first; return how many entries left the journal.

        Raises ``Unavailable`` when the journal does not answer.
        """
        takes_over = self._clock.monotonic_s() - self._took_over_s > _TAKE_OVER_EVERY_S
        counts: list[int | BaseException] = []
        for lane in _LANES:
            streams = [
                self._drain(shard, lane, takes_over=takes_over)
                for shard in range(self._streams.shards)
            ]
            if self._is_alone():
                # One after the other, so that what fails is known to fail on its own.
                for stream in streams:
                    counts += await asyncio.gather(stream, return_exceptions=True)
            else:
                counts += await asyncio.gather(*streams, return_exceptions=True)
        if takes_over:
            self._took_over_s = self._clock.monotonic_s()
        settled = sum(count for count in counts if isinstance(count, int))
        if settled:
            _log.info("drained", extra={"entries": settled})
        # An unreachable node of a cluster does not keep the others' entries waiting.
        for count in counts:
            if isinstance(count, BaseException) and (not settled or _is_unexpected(count)):
                raise count
        return settled

    def _is_alone(self) -> bool:
        return 1 in self._sizes.values()

    async def _drain(self, shard: int, lane: LaneName, *, takes_over: bool) -> int:
        stream = (shard, lane)
        size = self._sizes.get(stream, _READ_MAX)
        # Smaller from now on, unless all of it succeeds: a batch that is too large, or fails
        # because of one entry, must not keep the rest in the journal.
        self._sizes[stream] = max(1, size // 2)
        pending = self._pending.get(stream, [])
        if not pending and takes_over:
            pending = await self._streams.take_over(
                shard, lane, consumer=self._consumer, idle_s=_IDLE_S, count=size
            )
        if not pending:
            pending = await self._read(shard, lane, size)
        if not pending:
            self._sizes.pop(stream)
            return 0
        # Remembered until it is settled: after an error, this process still has to drain it.
        self._pending[stream] = pending
        reads, rest = pending[:size], pending[size:]
        outcomes = await asyncio.gather(
            *[self._drain_entry(shard, lane, read, size) for read in reads]
        )
        await self._aliases.add(
            [outcome.alias for outcome in outcomes if outcome.alias is not None]
        )
        done = [
            r.entry_id for r, outcome in zip(reads, outcomes, strict=True) if outcome.is_settled
        ]
        if done:
            await self._streams.settle(shard, lane, done)
            parked = sum(outcome.is_parked for outcome in outcomes)
            metrics.DRAINED.labels(lane, "parked").inc(parked)
            metrics.DRAINED.labels(lane, "committed").inc(len(done) - parked)
        for entry_id in done:
            self._tries.pop(entry_id, None)
        failed = [
            read
            for read, outcome in zip(reads, outcomes, strict=True)
            if not outcome.is_settled and not outcome.is_kept
        ]
        if not failed:
            self._sizes[stream] = min(_READ_MAX, size * 2)
        # What failed goes behind what was not tried yet.
        self._pending[stream] = rest + failed
        if not self._pending[stream]:
            del self._pending[stream]
        return len(done)

    async def _read(self, shard: int, lane: LaneName, size: int) -> list[ReadEntry]:
        reads: list[ReadEntry] = []
        is_uncertain = (shard, lane) in self._uncertain
        self._uncertain.add((shard, lane))
        if is_uncertain:
            reads = await self._streams.read_again(shard, lane, consumer=self._consumer, count=size)
        if not reads:
            reads = await self._streams.read(shard, lane, consumer=self._consumer, count=size)
        self._uncertain.discard((shard, lane))
        return reads

    async def _drain_entry(
        self, shard: int, lane: LaneName, read: ReadEntry, size: int
    ) -> _Outcome:
        """Commit one entry to the ledger and return its outcome. Never raises."""
        try:
            if lane == "follow_ups":
                await self._intake.accept_event(self._codec.decode_follow_up(read.envelope))
                return _SETTLED
            return await self._drain_order(self._codec.decode_order(read.envelope), read)
        except Poisoned:
            # The committer has parked it.
            return _PARKED
        except Unreadable as exc:
            return await self._unreadable(shard, lane, read, exc)
        except TidegateError:
            # Unavailable, or contended for long: it is tried again.
            return _RETRY
        except Exception:
            _log.exception("an entry of the journal failed", extra={"entry": read.entry_id})
            if size > 1:
                # Another entry may be the cause: it is tried alone before it counts.
                return _RETRY
            tries = self._tries[read.entry_id] = self._tries.get(read.entry_id, 0) + 1
            if tries < _TRIES_MAX:
                return _RETRY
            return await self._park_entry(shard, lane, read, "failed at the drain")

    async def _unreadable(
        self, shard: int, lane: LaneName, read: ReadEntry, why: Unreadable
    ) -> _Outcome:
        """Park an entry that cannot be opened; keep one that a worker with a newer ring can."""
        unreadable.note("journal.entry", f"{shard}:{lane}:{read.entry_id}", read.envelope, str(why))
        if isinstance(why.__cause__, UnknownKey):
            try:
                if await self._is_newer(sealing.key_id(read.envelope) or 0):
                    return _KEPT
            except TidegateError:
                return _RETRY
        return await self._park_entry(shard, lane, read, f"unreadable: {why}")

    async def _is_newer(self, key_id: int) -> bool:
        # One connection for all entries of a batch.
        checking = self._checking.get(key_id)
        if checking is None:
            checking = asyncio.create_task(self._ring_check.is_newer(key_id), name="newer key")
            self._checking[key_id] = checking
            checking.add_done_callback(lambda _: self._checking.pop(key_id))
        return await checking

    async def _drain_order(self, order: JournaledOrder, read: ReadEntry) -> _Outcome:
        try:
            placement = self._intake.journaled_placement(order)
        except (Invalid, msgspec.MsgspecError) as exc:
            reason = f"no longer accepted: {type(exc).__name__}"
            await self._park_order("journal:placements", order, read, reason)
            return _PARKED
        placed = await self._intake.accept_order(placement)
        if placed.answer == "conflict" and (account := told_anew.account(placement)):
            for told in told_anew.parts(placement, placed, account=account):
                await self._intake.accept_event(told)
            return _SETTLED
        if placed.answer in ("conflict", "key_reused"):
            # Acknowledged while Postgres could not be asked; an operator must choose one of two.
            reason, number = _conflict(placed), placement.submission.order_no
            await self._park_order(f"journal:{placed.channel}", order, read, reason, number)
            return _PARKED
        return _Outcome(True, None if placed.id == order.id else (order.id, placed.id))

    async def _park_entry(
        self, shard: int, lane: LaneName, read: ReadEntry, reason: str
    ) -> _Outcome:
        try:
            source = f"journal{shard}:{lane}"
            parked_id = await self._ledger.park_bytes(
                source, read.entry_id, read.envelope, reason, self._clock.now()
            )
        except TidegateError:
            return _RETRY
        _log.error("parked out of the journal", extra={"parked": parked_id, "reason": reason})
        return _PARKED

    async def _park_order(
        self, source: str, order: JournaledOrder, read: ReadEntry, reason: str, order_no: str = ""
    ) -> None:
        # The whole entry: a replay needs what is not in the message itself.
        parked_id = await self._ledger.park_bytes(
            source, str(order.id), read.envelope, reason, order.received_at, order_no=order_no
        )
        _log.error("parked out of the journal", extra={"parked": parked_id, "reason": reason})


def _is_unexpected(error: BaseException) -> bool:
    return not isinstance(error, TidegateError)


def _conflict(placed: Placed) -> str:
    return f"{placed.answer} with order {placed.id}"
