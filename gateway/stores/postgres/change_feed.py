"""The change feed: which orders changed after a position.

One relay at a time writes the changes, in transactions that do not overlap: what any server has is
a beginning of the feed, without a gap, also while orders are being committed. A position that was
read on one server is good on every other; one that lags has less behind it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
from msgspec import Struct

from gateway.domain.errors import TidegateError
from gateway.stores.postgres import order_reader
from gateway.stores.postgres.order_rows import Found, OrderRows
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.replicas import Answer, Readers
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

#: Changes read for a page: those of channels that are not asked for are among them.
SCAN_MAX = 2000
#: The feed begins so long before the time that is asked for: a transaction takes a moment from the
#: time that it writes to when it is seen, and the clocks of two servers may differ.
MARGIN = timedelta(minutes=1)
#: The first time from which the margin can be taken.
_EARLIEST = datetime.min.replace(tzinfo=UTC) + MARGIN
#: Begins before every change: given while there was none.
_BEGINNING = 0


class ChangesNotKept(TidegateError):
    """The feed does not reach so far back. ``kept_since``: when the oldest kept change was made."""

    def __init__(self, kept_since: datetime) -> None:
        super().__init__("changes are not kept so long")
        self.kept_since = kept_since


class ChangePage(Struct, frozen=True):
    """Orders that changed, each once, in their state now.

    ``reached``: the position after which the next page begins. ``is_last``: nothing was there
    beyond it.
    """

    orders: list[Found]
    reached: int
    is_last: bool


class ChangeFeed:
    """Reads the change feed, from wherever the read side reads. All raise ``Unavailable``."""

    def __init__(self, *, readers: Readers, sealer: Sealer) -> None:
        self._readers = readers
        self._rows = OrderRows(sealer=sealer)

    async def start(self, since: datetime, *, now: datetime) -> int:
        """Return the position after which all is found that changed at or after ``since``.

        Raises ``ChangesNotKept``.
        """

        async def work(connection: Connection) -> asyncpg.Record:
            record = await connection.fetchrow(sql("find_change"), max(since, _EARLIEST) - MARGIN)
            assert record is not None, "find_change.sql returns one row"
            return record

        position, kept_since, is_whole = (await self._readers.read(work)).value
        # Without a change yet, what was before the feed cannot be told from what is not kept.
        earliest = now - MARGIN if kept_since is None else kept_since
        if not is_whole and since < earliest:
            raise ChangesNotKept(earliest)
        return _BEGINNING if position is None else int(position)

    async def page(
        self, *, after: int, channels: Sequence[str] | None, is_test: bool | None, limit: int
    ) -> Answer[ChangePage]:
        """Return the orders of these channels that changed after a position.

        ``is_test``: test orders only, or live ones only; None: both. Raises ``ChangesNotKept``.
        """

        async def work(connection: Connection) -> list[asyncpg.Record]:
            async with connection.transaction(readonly=True):
                await connection.execute(order_reader.PLANNING)
                first = await connection.fetchrow(sql("first_change"))
                if first is not None and _BEGINNING < after < first["position"] - 1:
                    raise ChangesNotKept(first["relayed_at"])
                return list(
                    await connection.fetch(
                        sql("list_changes"), after, channels, is_test, limit, SCAN_MAX
                    )
                )

        read = await self._readers.read(work)
        reached, is_last = read.value[0]["reached"], read.value[0]["is_last"]
        orders = [self._rows.found(row) for row in read.value if row["id"] is not None]
        return Answer(ChangePage(orders, reached, is_last), read.age_s)
