"""Sealed values that cannot be opened: each is counted, and a few a minute are logged.

Whoever reads a row shows the rest of it: one damaged row, or a key that is missing, must not take
all others with it.
"""

import logging
from uuid import UUID

from prometheus_client import Counter

from gateway.runtime import logs
from gateway.stores import sealing
from gateway.stores.sealing import Sealer, SealingError

_log = logging.getLogger(__name__)
_log.addFilter(logs.Budget(records=10, every_s=60.0))

_ROWS = Counter(
    "tidegate_unreadable_rows",
    "Sealed values that could not be opened when they were read, by table and column: damaged, or "
    "sealed with a key that the ring lacks.",
    ["place"],
)
_PLACES = ("orders.private", "journal.entry", "address_changes.change", "approvals.body")
#: The same by place: what is read again is counted again.
_COUNTS = {place: _ROWS.labels(place) for place in _PLACES}


def opened(sealer: Sealer, place: str, row: UUID, envelope: bytes) -> bytes | None:
    """Return the plain bytes of a sealed value; None, counted and logged, where it does not open.

    ``place`` is one of the closed list of the metric.
    """
    try:
        return sealer.open(place, row.bytes, envelope)
    except SealingError as exc:
        note(place, str(row), envelope, str(exc))
        return None


def note(place: str, row: str, envelope: bytes, reason: str) -> None:
    """Count a value that could not be opened, and log it within the budget."""
    _COUNTS[place].inc()
    _log.error(
        "a sealed value cannot be opened",
        extra={
            "place": place,
            "row": row,
            "key": sealing.key_id(envelope),
            "reason": reason,
        },
    )
