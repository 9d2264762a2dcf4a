"""Raw messages: found by what they told, and kept once where the journal had several copies."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from gateway.domain import messages
from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_FIND = sql("find_message")
_DELETE_COPIES = sql("delete_message_copies")


class Messages:
    """The table of raw messages, beside the statements that store them."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]", sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def find(self, source: str, source_key: str) -> bytes | None:
        """Return the message of a row of the history, or of a parked one; None: it is not kept.

        A message is deleted after ``raw_months``. Raises ``Unavailable``, and ``SealingError``
        where it cannot be opened.
        """
        with errors.translated():
            row = await self._pool.fetchrow(_FIND, source, source_key, _uuid(source_key))
        if row is None:
            return None
        return self._sealer.open("raw_messages.body", row["id"].bytes, row["body"])

    async def delete_copies(self, parts: Sequence[UUID]) -> None:
        """Keep one row of the message of each of these parts. Raises ``Unavailable``."""
        ranges = sorted({messages.bounds(part) for part in parts})
        if not ranges:
            return
        with errors.translated():
            await self._pool.execute(
                _DELETE_COPIES, [first for first, _ in ranges], [last for _, last in ranges]
            )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
