"""The ledger as the committer sees it: place, follow, park."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.domain import events, messages, placing
from gateway.domain.folding import Rules
from gateway.domain.following import Done, Entry, FollowUp
from gateway.domain.placing import Placement
from gateway.domain.screening import NO_RULES, Screening
from gateway.runtime.live import Live
from gateway.stores.postgres import errors, placements
from gateway.stores.postgres.followups import FollowUps
from gateway.stores.postgres.messages import Messages
from gateway.stores.postgres.outbox_signal import Signal, Silence
from gateway.stores.postgres.placements import Placements
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_PARK = sql("park")
_LOCK_PARKED_MESSAGE = sql("lock_parked_message")


class Ledger:
    """History, orders, payments and outbox, changed together or not at all.

    After ``place`` and ``follow`` return, all that they answer is committed. ``is_late``: entries
    were journaled before, so the windows of orders are judged by when each was received.
    ``takes_parts``: whether several payments of an order of this channel add up. ``signal``: told
    of each commit that may have staged something.
    ``rules``: the screening rules of now, that every order is tried against when it is stored.
    """

    bad_row = errors.BadRow

    def __init__(
        self,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        sealer: Sealer,
        new_id: Callable[[], UUID],
        is_late: bool,
        takes_parts: Callable[[str], bool] = lambda channel: True,
        signal: Signal = Silence(),  # noqa: B008 - it has no state
        rules: Live[Screening] | None = None,
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._new_id = new_id
        self._is_late = is_late
        self._signal = signal
        self._messages = Messages(pool=pool, sealer=sealer)
        placements_ = Placements(
            pool=pool,
            sealer=sealer,
            new_id=new_id,
            is_late=is_late,
            rules=rules or Live(NO_RULES),
        )
        follow_ups = FollowUps(
            pool=pool,
            sealer=sealer,
            rules=Rules(takes_parts=takes_parts, new_id=new_id, is_late=is_late),
        )
        self._place, self._follow = placements_.place, follow_ups.follow
        #: What ``place`` and ``follow`` would answer now; nothing is written.
        self.preview_placement, self.preview = placements_.preview, follow_ups.preview

    async def place(self, batch: Sequence[Placement]) -> Sequence[placements.Result]:
        """Store orders; return an answer for each, in order: ``BadRow`` for one not storable.

        Raises ``BadRow`` when one of them kept all from being stored, and ``Unavailable`` when it
        is not known whether they are: repeating the batch is harmless.
        """
        placed = await self._place(batch)
        if self._signal.is_on:
            self._signal.staged()
        if self._is_late:
            # The events of the same message may be drained before it.
            await self._messages.delete_copies([each.id for each in batch if each.is_from_shop])
        return placed

    async def follow(self, batch: Sequence[Entry]) -> Sequence[Done]:
        """Apply events; return the outcome of each, in order. Raises as ``place``.

        Afterwards a message of several events is stored once.
        """
        done = await self._follow(batch)
        if self._signal.is_on:
            self._signal.staged()
        is_late = self._is_late
        await self._messages.delete_copies(
            [
                each.id
                for each in batch
                if isinstance(each, FollowUp) and messages.may_be_a_copy(each, is_late=is_late)
            ]
        )
        return done

    async def park(self, entry: Placement | FollowUp, reason: str) -> str:
        """Park an entry that cannot be stored, sealed; return the id an operator finds it by.

        The same entry parked twice keeps its first row. Raises ``Unavailable``.
        """
        if isinstance(entry, Placement):
            source, key = placing.source(entry.submission), entry.submission.order_no
            body: bytes | None = entry.raw
            order_no = key
        else:
            source, key = entry.source, entry.source_key
            body = messages.body(entry)
            order_no = events.order_no(entry.event)
        return await self.park_bytes(
            source, key, body or b"", reason, entry.received_at, order_no=order_no
        )

    async def park_bytes(
        self,
        source: str,
        source_key: str,
        body: bytes,
        reason: str,
        received_at: datetime,
        *,
        order_no: str = "",
    ) -> str:
        """Park bytes that could not be read, sealed; return the id an operator finds them by.

        The same source and key parked twice keep their first row. Raises ``Unavailable``.
        """
        key = _storable(source_key)
        id_ = self._new_id()
        sealed = self._sealer.seal("parked.body", id_.bytes, body)
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LOCK_PARKED_MESSAGE, source, key)
                parked = await connection.fetchval(
                    _PARK, id_, source, key, reason, sealed, received_at, _storable(order_no)
                )
        return str(parked)


def _storable(key: str) -> str:
    # It may be what the database rejects: it is escaped to ASCII.
    return key.encode("ascii", "backslashreplace").replace(b"\0", b"\\0").decode()
