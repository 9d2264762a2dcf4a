"""The journal: where entries go that Postgres cannot take now.

An entry is sealed, claimed and appended to a stream in one atomic call, synced to disk before
the answer. A drainer commits it to the ledger later, through the same intake. Claims recognise
repeats while the ledger does not answer: by order number, by request id and by look-alike,
judged by the same table as what the ledger finds (``placing.judge``).
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from gateway.domain import fingerprint, placing
from gateway.domain.asking import Refusal
from gateway.domain.errors import TidegateError, Unavailable
from gateway.domain.following import Done, FollowUp
from gateway.domain.journaling import Entry, LaneName
from gateway.domain.placing import (
    LOOKALIKE_WINDOW_S,
    ExistingOrder,
    Insert,
    Matches,
    Placed,
    Placement,
)
from gateway.intake import metrics
from gateway.intake.journal_codec import JournalCodec
from gateway.intake.journal_monitor import JournalMonitor

_REPEAT = Done("repeat")
_JOURNALED = Done("journaled")

MatchKind = Literal["by_order_no", "by_request_id", "by_lookalike"]


class Streams(Protocol):
    """The journal's streams, a pair of lanes for each shard."""

    @property
    def shards(self) -> int:
        """How many shards there are."""
        ...

    async def append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> list[list[bytes | None] | None]:
        """Append what is new, atomically; None for it, else what is stored under its claims.

        Raises ``Unavailable`` when nothing was appended, or it is not known whether it was.
        """
        ...


_encode_existing = msgspec.msgpack.Encoder().encode
_decode_existing = msgspec.msgpack.Decoder(ExistingOrder).decode


class Journal:
    """Stores batches that Postgres does not take.

    Invariants:

    - An answer is returned only after the stream and the claims were synced to disk together.
    - All that repeats, contradicts or resembles an order is in the shard of its buyer.
    - A full journal rejects (``Unavailable``): nothing that waits is ever trimmed.
    """

    def __init__(
        self, *, streams: Streams, codec: JournalCodec, monitor: JournalMonitor, claim_s: int
    ) -> None:
        """``claim_s``: seconds for which order numbers, request ids and event keys are claimed."""
        self._streams = streams
        self._codec = codec
        self._monitor = monitor
        self._claim_s = claim_s

    @property
    def is_usable(self) -> bool:
        """Whether its server was found to be fit."""
        return self._monitor.is_usable

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed | BaseException]:
        """Journal orders; return an answer for each in order.

        ``Unavailable`` where nothing was appended, or it is not known whether it was.
        """
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
                Entry(
                    self._codec.encode_follow_up(batch[n]),
                    ((digests[n], self._claim_s),),
                    _event_claim(batch[n]),
                )
                for n in numbers
            ]
            found = await self._append(shard, "follow_ups", entries)
            for n, existing in zip(numbers, found, strict=True):
                if isinstance(existing, TidegateError):
                    answers[n] = existing
                elif existing is None:
                    answers[n] = _JOURNALED
                else:
                    answers[n] = _repeated(batch[n], existing)

        await asyncio.gather(*map(follow_in, set(shards)))
        return [answers[n] for n in range(len(batch))]

    def _shard(self, placement: Placement) -> int:
        # By buyer: whatever repeats, contradicts or resembles an order finds its claims there.
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
        lookalikes: list[tuple[int, Entry, Placed]] = []
        for n, entry, claimed, existing in zip(numbers, entries, claims, found, strict=True):
            if isinstance(existing, TidegateError):
                answers[n] = existing
            elif existing is None:
                answers[n] = _journaled(batch[n])
            else:
                verdict = placing.judge(batch[n], _matches(batch[n], claimed, existing))
                if isinstance(verdict, Insert):
                    lookalikes.append((n, _forced(entry), _journaled(batch[n])))
                    continue
                metrics.REPEATS.labels("journal").inc()
                if isinstance(verdict, Placed):
                    answers[n] = msgspec.structs.replace(verdict, is_journaled=True)
                    continue
                answer = msgspec.structs.replace(
                    placing.aliased(verdict.existing, batch[n]), is_journaled=True
                )
                alias = self._alias_entry(batch[n], claimed, verdict.existing)
                lookalikes.append((n, _forced(alias), answer))
        if lookalikes:
            # The ledger judges them again at the drain: those that their channel stores it holds
            # for review, and of the others it has to know the number.
            forced = await self._append(shard, "placements", [entry for _, entry, _ in lookalikes])
            for (n, _, answer), existing in zip(lookalikes, forced, strict=True):
                answers[n] = existing if isinstance(existing, TidegateError) else answer

    def _entry(self, placement: Placement, claims: Sequence[tuple[MatchKind, bytes, int]]) -> Entry:
        order = placement.submission
        status, version = placing.first_state(order)
        known = ExistingOrder(
            id=placement.id,
            channel=order.channel,
            order_no=order.order_no,
            payload_digest=placement.payload_digest,
            status=status,
            version=version,
            placed_hold=None,
            lookalike=placement.lookalike,
            request_id=placement.request_id,
            received_at=placement.received_at,
            placed_at=order.placed_at,
        )
        return self._claiming(placement, claims, known)

    def _alias_entry(
        self,
        placement: Placement,
        claims: Sequence[tuple[MatchKind, bytes, int]],
        existing: ExistingOrder,
    ) -> Entry:
        """Return an entry whose number and request id are claimed for the order it is one with."""
        known = msgspec.structs.replace(
            existing, payload_digest=placement.payload_digest, request_id=placement.request_id
        )
        return self._claiming(placement, claims, known)

    def _claiming(
        self,
        placement: Placement,
        claims: Sequence[tuple[MatchKind, bytes, int]],
        known: ExistingOrder,
    ) -> Entry:
        return Entry(
            self._codec.encode_order(placement),
            tuple((digest, live_s) for _, digest, live_s in claims),
            _encode_existing(known),
        )

    async def _append(
        self, shard: int, lane: LaneName, entries: Sequence[Entry]
    ) -> Sequence[list[bytes | None] | TidegateError | None]:
        try:
            await self._monitor.check_headroom()
            found = await self._streams.append(shard, lane, entries)
        except Unavailable as exc:
            return [exc] * len(entries)
        metrics.JOURNALED.labels(lane).inc(sum(existing is None for existing in found))
        return found


def _claims(placement: Placement, claim_s: int) -> list[tuple[MatchKind, bytes, int]]:
    order = placement.submission
    number = fingerprint.order_number(order)
    claims: list[tuple[MatchKind, bytes, int]] = [("by_order_no", number, claim_s)]
    if placement.request_id is not None:
        digest = fingerprint.request(order, placement.request_id)
        claims.append(("by_request_id", digest, claim_s))
    # Where the channel ignores look-alikes, none is claimed.
    if placement.may_be_double_click or placement.policy.lookalike != "off":
        claims.append(("by_lookalike", placement.lookalike, LOOKALIKE_WINDOW_S))
    return claims


def _matches(
    placement: Placement,
    claims: Sequence[tuple[MatchKind, bytes, int]],
    existing: Sequence[bytes | None],
) -> Matches:
    finds: dict[MatchKind, ExistingOrder] = {}
    for (kind, *_), value in zip(claims, existing, strict=True):
        # What another version wrote is a miss: the order is appended, and the ledger decides.
        with contextlib.suppress(msgspec.MsgspecError):
            if value is not None:
                finds[kind] = _decode_existing(value)
    apart_s = 0.0
    if like := finds.get("by_lookalike"):
        placed_at = placement.submission.placed_at
        apart_s = max(
            abs((placement.received_at - like.received_at).total_seconds()),
            abs((placed_at - (like.placed_at or placed_at)).total_seconds()),
        )
    return Matches(
        finds.get("by_request_id"), finds.get("by_order_no"), finds.get("by_lookalike"), apart_s
    )


def _event_claim(entry: FollowUp) -> bytes:
    """Return what is stored under the key of an event: of an action, what was asked."""
    return b"1" if entry.asked is None else entry.asked.digest.encode()


def _repeated(entry: FollowUp, existing: Sequence[bytes | None]) -> Done:
    if entry.asked is None or _event_claim(entry) in existing:
        return _REPEAT
    detail = "the Idempotency-Key was used for something else"
    return Done("refused", refusal=Refusal("key_reused", detail))


def _forced(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, is_forced=True)


def _journaled(placement: Placement) -> Placed:
    order = placement.submission
    return Placed(
        "placed", placement.id, order.channel, order.order_no, None,
        *placing.first_state(order), is_journaled=True,
    )  # fmt: skip
