"""The query of the change feed: from when, or after which page, and of which channels."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.web.handlers import order_filter
from gateway.web.problems import Answered, problem

#: What may narrow the feed: what never changes of an order.
_PARAMETERS = frozenset({"updated_since", "cursor", "channel", "is_test", "limit"})
#: Begins the text of its cursors.
_CHANGES = "changes|"
_POSITION_LIMIT = 2**63


class ChangeQuery(Struct, frozen=True):
    """A page of the change feed: ``since`` a time, or ``after`` a position where that is None."""

    since: datetime | None
    after: int
    channels: Sequence[str] | None
    is_test: bool | None
    limit: int


def is_asked(values: dict[str, str]) -> bool:
    """Return whether a query of the list asks for changes."""
    cursor = order_filter.decoded(values.get("cursor", ""))
    return "updated_since" in values or cursor.startswith(_CHANGES)


def parse(values: dict[str, str], principal: Principal, faults: list[Fault]) -> ChangeQuery:
    """Return the query, limited to the key's channels. A cursor goes before ``updated_since``.

    Raises ``Answered`` with 422 and all ``faults``, those that the caller has found and its own.
    """
    order_filter.drop_unprintable(values, faults)
    faults += [
        Fault(name, "cannot narrow changes: an order that left it would not be told")
        for name in values
        if name not in _PARAMETERS
    ]
    after = _after(values, faults)
    since = order_filter.time_of(values, "updated_since", faults)
    query = ChangeQuery(
        since=since if after is None else None,
        after=after or 0,
        channels=order_filter.visible_channels(values, principal, faults),
        is_test=order_filter.which_kind(values, principal, faults),
        limit=order_filter.limit_of(values, faults),
    )
    if faults:
        raise Answered(problem("invalid", faults=faults))
    return query


def cursor_after(position: int) -> str:
    """Return the cursor of the page that begins after a position."""
    return order_filter.encoded(f"{_CHANGES}{position}")


def not_kept(values: dict[str, str], kept_since: datetime) -> Answered:
    """Return the answer to a query for changes that are not kept any more, or never were."""
    at = kept_since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = "cursor" if "cursor" in values else "updated_since"
    reason = (
        f"is before {at}, since when changes are kept: note the time, export the orders, "
        "and then ask for what was updated since the time you noted"
    )
    return Answered(problem("invalid", faults=[Fault(name, reason)]))


def _after(values: dict[str, str], faults: list[Fault]) -> int | None:
    cursor = values.get("cursor")
    if cursor is None:
        return None
    digits = order_filter.decoded(cursor).removeprefix(_CHANGES)
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) < _POSITION_LIMIT:
        return int(digits)
    faults.append(Fault("cursor", "must be the next_cursor of the previous page, unchanged"))
    return None
