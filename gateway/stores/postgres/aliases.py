"""Aliases: ids that were answered for an order which turned out to be another."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from gateway.stores.postgres import errors
from gateway.stores.postgres.statements import sql

_ADD = sql("add_aliases")


class Aliases:
    """The table of aliases: a client that was given an id still finds the order."""

    def __init__(self, *, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def add(self, pairs: Sequence[tuple[UUID, UUID]]) -> None:
        """Store pairs (alias, order id) for good. Repeats are harmless. Raises ``Unavailable``."""
        if not pairs:
            return
        alias, order_id = zip(*pairs, strict=True)
        with errors.translated():
            await self._pool.execute(_ADD, alias, order_id)
