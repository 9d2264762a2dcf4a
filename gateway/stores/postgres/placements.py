"""The lane of placements: new orders in one statement a batch, and a slower path for the rest.

Nearly every order is new, so a batch is inserted without a look-up; the unique keys and the
fingerprint decide which rows were stored. Rows that match stored orders are looked up, judged by
``placing.judge``, and only those to be stored after all (held look-alikes, other numbers of a
stored order) get a transaction each.

Late placements were received while Postgres was unavailable. Their windows are judged by when
they were received, and they are looked up before they are stored: by now the fingerprint of an
order that looks like them may have been deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from gateway.domain import orders, placing, retelling
from gateway.domain.errors import Unavailable
from gateway.domain.placing import (
    Alias,
    Conflict,
    ExistingOrder,
    Insert,
    Matches,
    Placed,
    Placement,
)
from gateway.domain.screening import Screened, Screening
from gateway.runtime import retry
from gateway.runtime.live import Live
from gateway.stores.postgres import errors, placement_screening, told_terms
from gateway.stores.postgres.placement_screening import PlacementScreening
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_FIND_MATCHES = sql("find_matches")
_LOCK_FINGERPRINT = sql("lock_fingerprint")
_DELETE_ORPHAN_FINGERPRINT = sql("delete_orphan_fingerprint")
_RELEASE_SHOP_REQUEST_ID = sql("release_shop_request_id")
_ADD_ALIAS = sql("add_order_no_alias")
_READ_TERMS = sql("read_terms")

#: With these began the request ids of shops' orders in earlier versions.
_SHOP_REQUEST_ID = "order:"

_TRIES_MAX = 5

_encode_private = msgspec.json.Encoder().encode
_encode_items = msgspec.json.Encoder(decimal_format="string").encode

#: What a placement became: an answer, or the reason why it can never be stored.
Result = Placed | errors.BadRow


class Placements:
    """Stores orders. Has the statements and seals private fields; ``placing.judge`` decides.

    Afterwards each order that was answered ``placed`` has its row, its history, its raw message
    and its outbox row, committed together. Rows are locked in the order of their fingerprints,
    so batches cannot deadlock each other.
    """

    def __init__(
        self,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        sealer: Sealer,
        new_id: Callable[[], UUID],
        is_late: bool,
        rules: Live[Screening],
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._new_id = new_id
        self._is_late = is_late
        self._screener = PlacementScreening(rules=rules, phone_index=sealer.phone_index)

    async def place(self, batch: Sequence[Placement]) -> list[Result]:
        """Store a batch; return an answer for each placement, in order, all of it committed.

        Raises ``BadRow`` when a row cannot be stored (nothing of the batch is then), and
        ``Unavailable`` when it is not known whether it was: repeating the batch is harmless.
        """
        answers: dict[int, Result] = {}
        screened = self._screener.screened(batch)
        first, again = _without_clashes(batch, screened)
        if any(placement.stock == "missing" for placement in batch):
            # Out of stock: not to be stored, only looked up, for it may be a repeat.
            again += [n for n in first if batch[n].stock == "missing"]
            first = [n for n in first if batch[n].stock != "missing"]
        if self._is_late:
            first, known = await self._without_matches(batch, first)
            again += known
        stored = await self._insert_retrying([batch[n] for n in first], screened)
        for n in first:
            if (placed := stored.get(batch[n].id)) is not None:
                answers[n] = placed
            else:
                again.append(n)
        if again:
            await self._settle(batch, sorted(again), answers)
        return [answers[n] for n in range(len(batch))]

    async def preview(self, placement: Placement) -> Placed | Insert | Alias:
        """Return the verdict on a placement as things are now, without storing anything."""
        with errors.translated():
            async with self._pool.acquire() as connection:
                found = await self._find_matches(connection, [placement])
        verdict = placing.judge(placement, found[0])
        if isinstance(verdict, Conflict) and placement.is_from_shop:
            return await self._compared(placement, verdict)
        return verdict

    async def _without_matches(
        self, batch: Sequence[Placement], positions: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """Split positions: placements that match no stored order, and those that do."""
        with errors.translated():
            async with self._pool.acquire() as connection:
                found = await self._find_matches(connection, [batch[n] for n in positions])
        nothing = Matches()
        new = [n for n, met in zip(positions, found, strict=True) if met == nothing]
        known = [n for n, met in zip(positions, found, strict=True) if met != nothing]
        return new, known

    async def _insert_retrying(
        self, batch: Sequence[Placement], screened: Mapping[UUID, Screened]
    ) -> dict[UUID, Placed]:
        if not batch:
            return {}
        batch = sorted(batch, key=_by_lookalike)
        with errors.translated():
            rows = self._rows([(placement, None, False) for placement in batch])
        place, handed = placement_screening.statement(batch, screened)
        for attempt in range(_TRIES_MAX):
            try:
                with errors.translated():
                    async with self._pool.acquire() as connection:
                        records = await connection.fetch(place, rows, self._is_late, None, *handed)
                return _placed(records, batch)
            except errors.Contended:
                await retry.jitter(attempt)
        raise Unavailable("contention")

    async def _settle(
        self, batch: Sequence[Placement], again: Sequence[int], answers: dict[int, Result]
    ) -> None:
        """Answer the rows that match stored orders: by a look-up, or one transaction each.

        A bad row is an answer here and not an error: the others of the batch are committed.
        """
        try:
            with errors.translated():
                async with self._pool.acquire() as connection:
                    found = await self._find_matches(connection, [batch[n] for n in again])
        except errors.BadRow as exc:
            if len(again) == 1:
                answers[again[0]] = exc
                return
            for n in again:
                await self._settle(batch, [n], answers)
            return
        for n, met in zip(again, found, strict=True):
            verdict = placing.judge(batch[n], met)
            if isinstance(verdict, Conflict) and batch[n].is_from_shop:
                answers[n] = await self._compared(batch[n], verdict)
            elif isinstance(verdict, Placed):
                answers[n] = verdict
            elif batch[n].stock == "missing" and isinstance(verdict, Insert):
                answers[n] = placing.out_of_stock(batch[n])
            else:
                answers[n] = await self._place_judged(batch[n])

    async def _compared(self, placement: Placement, conflict: Conflict) -> Conflict:
        """Return the answer to a shop with what differs from the stored order."""
        with errors.translated():
            row = await self._pool.fetchrow(_READ_TERMS, conflict.id)
        if row is None:
            return conflict
        told = retelling.terms(placement.submission)
        stored = told_terms.read(row, row=conflict.id, sealer=self._sealer)
        differs = retelling.differences(told, stored)
        return msgspec.structs.replace(conflict, differs=differs)

    async def _place_judged(self, placement: Placement) -> Result:
        for attempt in range(_TRIES_MAX):
            try:
                with errors.translated():
                    answer = await self._judge_locked(placement)
            except errors.Contended:
                answer = None
            except errors.BadRow as exc:
                return exc
            if answer is not None:
                return answer
            await retry.jitter(attempt)
        raise Unavailable("contention")

    async def _judge_locked(self, placement: Placement) -> Placed | None:
        """Judge under the fingerprint's lock, and store if so decided. None: try again."""
        async with self._pool.acquire() as connection, connection.transaction():
            lookalike = placement.lookalike
            is_held = await connection.fetchval(_LOCK_FINGERPRINT, lookalike) is not None
            was_orphan = (
                await connection.fetchval(_DELETE_ORPHAN_FINGERPRINT, lookalike) is not None
            )
            if (key := placement.request_id) and key.startswith(_SHOP_REQUEST_ID):
                order = placement.submission
                await connection.execute(
                    _RELEASE_SHOP_REQUEST_ID, order.channel, key, order.is_test
                )
            found = await self._find_matches(connection, [placement])
            verdict = placing.judge(placement, found[0])
            if isinstance(verdict, Placed):
                return verdict
            if isinstance(verdict, Alias):
                return await self._add_alias(connection, placement, verdict.existing)
            if placement.stock == "missing":
                # It looked like another a moment ago, and that window has ended.
                return placing.out_of_stock(placement)
            # Stored beside a fingerprint that is locked here; where there is none, it is claimed.
            hold, released = self._screener.held(placement, verdict)
            rows = self._rows([(placement, hold, is_held and not was_orphan)])
            looks = [f"looks like order {verdict.resembles}"] if verdict.resembles else None
            screened = self._screener.screened([placement])
            place, handed = placement_screening.statement([placement], screened, *released)
            records = await connection.fetch(place, rows, self._is_late, looks, *handed)
            return _placed(records, [placement]).get(placement.id)

    async def _add_alias(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        placement: Placement,
        existing: ExistingOrder,
    ) -> Placed | None:
        """Make the number of a submission another one of a stored order. None: try again."""
        order = placement.submission
        has_waiting = await connection.fetchval(
            _ADD_ALIAS,
            order.order_no,
            order.channel,
            order.is_test,
            existing.id,
            placement.payload_digest,
            placement.request_id,
            placement.received_at,
            placement.id,
            placing.source(order),
            f"order {order.order_no} is this order",
            placement.trigger,
            order.placed_at,
            self._sealer.seal("raw_messages.body", placement.id.bytes, placement.raw),
        )
        if has_waiting is None:
            return None
        return placing.aliased(existing, placement, has_waiting=has_waiting)

    async def _find_matches(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        batch: Sequence[Placement],
    ) -> list[Matches]:
        phone_index = self._sealer.phone_index
        records = await connection.fetch(
            _FIND_MATCHES,
            list(range(len(batch))),
            [placement.submission.channel for placement in batch],
            [placement.submission.order_no for placement in batch],
            [placement.request_id for placement in batch],
            [placement.lookalike for placement in batch],
            [phone_index(placement.phone or _buyer(placement)) for placement in batch],
            [placement.received_at for placement in batch],
            self._is_late,
            [placement.submission.is_test for placement in batch],
            [placement.submission.placed_at for placement in batch],
        )
        matches: list[dict[str, Any]] = [{} for _ in batch]
        for n, kind, apart_s, amendments, *existing in records:
            matches[n][kind] = ExistingOrder(*existing)
            if kind == "by_lookalike":
                matches[n]["apart_s"] = apart_s
            if kind == "by_order_no":
                matches[n]["amendments"] = amendments
        return [Matches(**each) for each in matches]

    def _rows(
        self, batch: list[tuple[Placement, orders.Hold | None, bool]]
    ) -> list[tuple[object, ...]]:
        """Return the rows of ``place.sql`` (composite type ``placement_row_2``), fields sealed."""
        seal, phone_index = self._sealer.seal, self._sealer.phone_index
        rows: list[tuple[object, ...]] = []
        for placement, hold, is_judged in batch:
            order, row = placement.submission, placement.id.bytes
            amounts, to = order.amounts, order.to
            private = _encode_private(orders.private_part(order))
            rows.append(
                (
                    placement.id, order.channel, order.order_no, placement.request_id,
                    placement.payload_digest, placement.lookalike, placement.same_goods,
                    order.is_test, order.currency, str(amounts.goods),
                    str(amounts.shop_discount), str(amounts.platform_subsidy),
                    str(amounts.freight), str(amounts.payable), order.buyer_id, to.country,
                    to.province, to.city, to.district,
                    phone_index(placement.phone or _buyer(placement)),
                    _encode_items(order.items).decode(), seal("orders.private", row, private),
                    seal("raw_messages.body", row, placement.raw), order.placed_at,
                    placement.received_at, placement.trigger, hold, is_judged, placement.stock,
                    str(amounts.tax) if amounts.tax else "0", bool(amounts.tax_included),
                    None if amounts.payable else self._new_id(),
                    order.platform_state or None, placement.policy.unpaid_timeout_s,
                )
            )  # fmt: skip
        return rows


def _without_clashes(
    batch: Sequence[Placement], screened: Mapping[UUID, Screened]
) -> tuple[list[int], list[int]]:
    """Split positions: rows that share no key with one before them, and the rest."""
    seen: set[object] = set()
    first: list[int] = []
    again: list[int] = []
    for n, placement in enumerate(batch):
        order = placement.submission
        channel = order.channel, order.is_test
        keys: list[object] = [
            (channel, order.order_no), placement.lookalike, placement.same_goods,
        ]  # fmt: skip
        if placement.request_id is not None:
            keys.append((channel, placement.request_id, True))
        if placement.id in screened:
            # One purchase of each count in a batch: the next waits for its lock and sees it.
            keys += [limit.key for limit in screened[placement.id].limits]
        if seen.isdisjoint(keys):
            first.append(n)
        else:
            again.append(n)
        seen.update(keys)
    return first, again


def _by_lookalike(placement: Placement) -> bytes:
    # One lock order for all batches; see place.sql.
    return placement.lookalike


def _placed(records: Sequence[asyncpg.Record], batch: Sequence[Placement]) -> dict[UUID, Placed]:
    placed = {}
    for number, hold, has_waiting in records:
        placement = batch[number - 1]
        order = placement.submission
        placed[placement.id] = Placed(
            "placed", placement.id, order.channel, order.order_no, hold,
            *placing.first_state(order), has_waiting=has_waiting,
        )  # fmt: skip
    return placed


def _buyer(placement: Placement) -> str:
    """Return what an order without a phone is indexed by: its buyer, whom nobody looks up.

    Under one index for all of them, the late look-up of look-alikes would read every such order.
    """
    order = placement.submission
    return f"buyer {len(order.channel)} {order.channel} {order.buyer_id}"
