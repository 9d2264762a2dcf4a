"""The journal: where events go that Postgres can not take now.

An event is sealed, claimed and appended to a stream in one atomic call, synced to disk before
the answer. Whoever drains brings it to the ledger later, through the same way in. Claims are
what makes a repeat a repeat while the ledger can not be asked: by order number, by request id
and by look-alike, judged by the very table that the ledger's answers are judged by.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from gateway.domain import fingerprint, placing
from gateway.domain.errors import TidegateError, Unavailable
from gateway.domain.following import Done, FollowUp
from gateway.domain.journaling import Entry, LaneName
from gateway.domain.placing import LOOKALIKE_WINDOW_S, ExistingOrder, Matches, Placed, Placement
from gateway.intake import metrics
from gateway.intake.journal_codec import JournalCodec
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.runtime.settings import Settings

_log = logging.getLogger(__name__)

#: Seconds that a figure of the journal's memory is believed while it is being written to.
_FILL_S = 0.25
#: Seconds between two looks while something waits: its age is part of the load.
_BUSY_S = 1.0
_REPEAT = Done("repeat")
_JOURNALED = Done("journaled")

MatchKind = Literal["by_order_no", "by_request_id", "by_lookalike"]


class Depth(Protocol):
    """How much waits to be drained."""

    @property
    def entries(self) -> int:
        """Entries appended and not yet acknowledged by a drainer."""
        ...

    @property
    def oldest_s(self) -> float:
        """The age of the oldest in seconds, 0 when there is none."""
        ...

    @property
    def fill(self) -> float:
        """The share of its memory that is used."""
        ...


class Streams(Protocol):
    """The journal's streams. Calls raise ``Unavailable`` when nobody can tell what happened."""

    @property
    def shards(self) -> int:
        """How many there are of each lane."""
        ...

    async def append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> list[list[bytes | None] | None]:
        """Append what is new, atomically; None for it, else what stands under its claims."""
        ...

    async def fitness(self) -> str:
        """Nothing, or the sentence why the server would not keep its word. Never raises."""
        ...

    async def fill(self) -> float:
        """The share of its memory that is used."""
        ...

    async def depth(self) -> Depth:
        """How much waits to be drained."""
        ...


#: How far the clocks of processes and servers may be apart.
_CLOCKS_APART_S = 60.0
_encode_existing = msgspec.msgpack.Encoder().encode
_decode_existing = msgspec.msgpack.Decoder(ExistingOrder).decode


class Journal:
    """Takes batches that Postgres does not. Answers are true once they are given."""

    def __init__(
        self, *, streams: Streams, codec: JournalCodec, clock: Clock, settings: Settings
    ) -> None:
        self._streams = streams
        self._codec = codec
        self._clock = clock
        self._fill_max = settings.journal_fill_max
        self._claim_s = settings.journal_claim_s
        self._check_s = settings.journal_check_s
        self._fill = 0.0
        self._fill_at_s = float("-inf")
        self._entries = 0
        #: As last looked at: seconds since the oldest that waits came, share of memory used.
        self.oldest_s = 0.0
        self.fill = 0.0
        #: Why the journal is not used, in a sentence; empty when it is.
        self.reason = "was not looked at yet"

    @property
    def is_usable(self) -> bool:
        """Whether the server was found to keep its word."""
        return not self.reason

    async def run(self, stopping: asyncio.Event) -> None:
        """Look again and again whether the server would keep its word, until told to stop."""
        while not stopping.is_set():
            await self.check()
            pause_s = min(self._check_s, _BUSY_S) if self._entries else self._check_s
            await lifecycle.pause(stopping, pause_s)

    async def check(self) -> None:
        """Find out whether the journal may be used; what changed is logged."""
        try:
            reason = await self._streams.fitness()
        except Exception as exc:  # whatever it is, it is the answer to this question
            reason = f"its server can not be looked at ({type(exc).__name__})"
        if reason != self.reason:
            if reason:
                _log.error("the journal is not used: %s", reason)
            else:
                _log.info("the journal stands ready")
        self.reason = reason
        metrics.JOURNAL_USABLE.set(not reason)
        with contextlib.suppress(Exception):
            depth = await self._streams.depth()
            self._entries, self.oldest_s, self.fill = depth.entries, depth.oldest_s, depth.fill
            metrics.JOURNAL_ENTRIES.set(depth.entries)
            metrics.JOURNAL_OLDEST_S.set(depth.oldest_s)
            metrics.JOURNAL_FILL.set(depth.fill)

    async def may_hold(self, id_: UUID) -> bool:
        """Say whether an order that the ledger does not know may still wait here.

        An id tells when it was made, and nothing that waits is older than the oldest entry.
        """
        try:
            depth = await self._streams.depth()
        except Unavailable:
            return self._entries > 0
        oldest_s = self._clock.now().timestamp() - depth.oldest_s - _CLOCKS_APART_S
        return depth.entries > 0 and (id_.int >> 80) / 1000 >= oldest_s

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed | BaseException]:
        """Journal orders; an answer for each in order, ``Unavailable`` where nobody can tell."""
        shards = [self._shard(placement) for placement in batch]
        answers: dict[int, Placed | BaseException] = {}
        await asyncio.gather(
            *[
                self._place_in(
                    shard, batch, [n for n, s in enumerate(shards) if s == shard], answers
                )
                for shard in set(shards)
            ]
        )
        return [answers[n] for n in range(len(batch))]

    async def follow(self, batch: Sequence[FollowUp]) -> Sequence[Done | BaseException]:
        """Journal events; as ``place``."""
        digests = [fingerprint.callback(entry.source, entry.source_key) for entry in batch]
        shards = [digest[0] % self._streams.shards for digest in digests]
        answers: dict[int, Done | BaseException] = {}

        async def follow_in(shard: int) -> None:
            numbers = [n for n, s in enumerate(shards) if s == shard]
            entries = [
                Entry(self._codec.encode_follow_up(batch[n]), ((digests[n], self._claim_s),), b"1")
                for n in numbers
            ]
            found = await self._append(shard, "follow_ups", entries)
            for n, existing in zip(numbers, found, strict=True):
                if isinstance(existing, TidegateError):
                    answers[n] = existing
                else:
                    answers[n] = _JOURNALED if existing is None else _REPEAT

        await asyncio.gather(*map(follow_in, set(shards)))
        return [answers[n] for n in range(len(batch))]

    def _shard(self, placement: Placement) -> int:
        # By buyer: whatever repeats an order, contradicts it or looks like it, meets it there.
        order = placement.submission
        return fingerprint.buyer(order.channel, order.buyer_id)[0] % self._streams.shards

    async def _place_in(
        self,
        shard: int,
        batch: Sequence[Placement],
        numbers: Sequence[int],
        answers: dict[int, Placed | BaseException],
    ) -> None:
        claims = [_claims(batch[n], self._claim_s) for n in numbers]
        entries = [
            self._entry(batch[n], claimed) for n, claimed in zip(numbers, claims, strict=True)
        ]
        found = await self._append(shard, "placements", entries)
        lookalikes: list[tuple[int, Entry]] = []
        for n, entry, claimed, existing in zip(numbers, entries, claims, found, strict=True):
            if isinstance(existing, TidegateError):
                answers[n] = existing
            elif existing is None:
                answers[n] = _journaled(batch[n])
            else:
                verdict = placing.judge(batch[n], _matches(claimed, existing))
                if isinstance(verdict, Placed):
                    metrics.REPEATS.labels("journal").inc()
                    answers[n] = msgspec.structs.replace(verdict, is_journaled=True)
                else:
                    lookalikes.append((n, msgspec.structs.replace(entry, is_forced=True)))
        if lookalikes:
            # Look-alikes that their channel wants stored: the ledger holds them at the drain.
            forced = await self._append(shard, "placements", [entry for _, entry in lookalikes])
            for (n, _), existing in zip(lookalikes, forced, strict=True):
                answers[n] = (
                    existing if isinstance(existing, TidegateError) else _journaled(batch[n])
                )

    def _entry(self, placement: Placement, claims: Sequence[tuple[MatchKind, bytes, int]]) -> Entry:
        order = placement.submission
        known = ExistingOrder(
            id=placement.id,
            channel=order.channel,
            order_no=order.order_no,
            payload_digest=placement.payload_digest,
            status="pending_payment",
            version=1,
            placed_hold=None,
            lookalike=placement.lookalike,
            request_id=placement.request_id,
            received_at=placement.received_at,
        )
        return Entry(
            self._codec.encode_order(placement),
            tuple((digest, live_s) for _, digest, live_s in claims),
            _encode_existing(known),
        )

    async def _append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> Sequence[list[bytes | None] | TidegateError | None]:
        try:
            await self._check_headroom()
            found = await self._streams.append(shard, lane, entries)
        except Unavailable as exc:
            return [exc] * len(entries)
        metrics.JOURNALED.labels(lane).inc(sum(existing is None for existing in found))
        return found

    async def _check_headroom(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._fill_at_s > _FILL_S:
            self._fill = await self._streams.fill()
            self._fill_at_s = now_s
        if self._fill >= self._fill_max:
            raise Unavailable("journal", retry_after_s=5.0)


def _claims(placement: Placement, claim_s: int) -> list[tuple[MatchKind, bytes, int]]:
    order = placement.submission
    number = fingerprint.order_number(order.channel, order.order_no)
    claims: list[tuple[MatchKind, bytes, int]] = [("by_order_no", number, claim_s)]
    if placement.request_id is not None:
        digest = fingerprint.request(order.channel, placement.request_id)
        claims.append(("by_request_id", digest, claim_s))
    # Where the channel takes no notice of look-alikes, there is none to be recognised by.
    if placement.request_id is None or placement.policy != "off":
        claims.append(("by_lookalike", placement.lookalike, LOOKALIKE_WINDOW_S))
    return claims


def _matches(
    claims: Sequence[tuple[MatchKind, bytes, int]], existing: Sequence[bytes | None]
) -> Matches:
    finds = {}
    for (kind, *_), value in zip(claims, existing, strict=True):
        # Another version's words are a miss: the order is appended, and the ledger knows it.
        with contextlib.suppress(msgspec.MsgspecError):
            if value is not None:
                finds[kind] = _decode_existing(value)
    return Matches(**finds)


def _journaled(placement: Placement) -> Placed:
    order = placement.submission
    return Placed("placed", placement.id, order.channel, order.order_no, None, is_journaled=True)
