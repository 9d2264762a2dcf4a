"""What screening adds to the statement that places orders: findings, and purchases to count.

Where rules say nothing of a batch, it is the statement without all that.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from gateway.domain import orders, screening
from gateway.domain.placing import Insert, Placement
from gateway.domain.screening import PhoneIndex, Screened, Screening
from gateway.runtime.live import Live
from gateway.stores.postgres.statements import sql, sql_without

_PLACE = sql_without("place", "screening")
_PLACE_SCREENED = sql("place")


class PlacementScreening:
    """Tries placements against the rules of now."""

    def __init__(self, *, rules: Live[Screening], phone_index: PhoneIndex) -> None:
        self._rules = rules
        self._phone_index = phone_index

    def screened(self, batch: Sequence[Placement]) -> dict[UUID, Screened]:
        """Return what the rules make of a batch, by the ids of the orders that they say it of."""
        rules = self._rules.now
        if not rules.rules:
            return {}
        made = ((each.id, rules.screen(each, self._phone_index)) for each in batch)
        return {id_: screened for id_, screened in made if screened is not screening.NOTHING}

    def held(
        self, placement: Placement, verdict: Insert
    ) -> tuple[orders.Hold | None, list[screening.Finding]]:
        """Return the hold of a look-alike, and what a rule says that ends it before it begins."""
        rules = self._rules.now
        if verdict.hold == "lookalike" and rules.rules:
            released = rules.lookalike_released(placement, verdict.resembles)
            if released is not None:
                return None, [released]
        return verdict.hold, []


def statement(
    batch: Sequence[Placement], screened: Mapping[UUID, Screened], *more: screening.Finding
) -> tuple[str, Sequence[object]]:
    """Return the statement that stores a batch, and what it is handed of what rules found.

    ``more``: findings of the only order of the batch.
    """
    if not screened and not more:
        return _PLACE, ()
    found = _Columns(4)
    limits = _Columns(4)
    bounds = _Columns(5)
    known: dict[tuple[str, orders.Hold | None], int] = {}
    for n, placement in enumerate(batch, 1):
        each = screened.get(placement.id, screening.NOTHING)
        document = screening.encode(each, *more)
        if document is not None:
            found.add(n, each.hold, document, screening.said(each, *more))
        for limit in each.limits:
            which = known.get((limit.text, limit.hold))
            if which is None:
                which = known[limit.text, limit.hold] = len(known) + 1
                bounds.add(
                    limit.orders_max, limit.pieces_max, limit.window_s, limit.hold, limit.text
                )
            limits.add(n, limit.key, limit.pieces, which)
    return _PLACE_SCREENED, (*found.lists, *limits.lists, *bounds.lists)


class _Columns:
    """Rows as one list for each of their columns."""

    __slots__ = ("lists",)

    def __init__(self, count: int) -> None:
        self.lists: tuple[list[object], ...] = tuple([] for _ in range(count))

    def add(self, *row: object) -> None:
        for column, value in zip(self.lists, row, strict=True):
            column.append(value)
