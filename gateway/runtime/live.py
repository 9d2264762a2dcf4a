"""What a reload replaces while the process runs: a holder, and the limits that it holds.

Who uses such a value is given the holder, and reads ``now`` once for each request. A reload assigns
``now``, between two steps of the event loop: a request sees one value or the other, and those that
took the earlier one finish with it.
"""

from typing import Generic, TypeVar

from msgspec import Struct

from gateway.runtime.settings import Settings

T = TypeVar("T")


class Live(Generic[T]):
    """A value that is replaced as a whole, never changed."""

    __slots__ = ("now",)

    def __init__(self, now: T) -> None:
        self.now = now


class Limits(Struct, frozen=True, kw_only=True):
    """The limits that can change while requests are answered; each is the setting of its name.

    Not here: what sizes something that exists already (pools, batches, queues), and what the
    settings check against each other.
    """

    order_bytes_max: int
    callback_bytes_max: int
    body_s: float
    keepalive_s: float
    connections_max: int
    requests_per_s_max: float
    key_requests_per_s_max: float
    key_burst: int
    ack_bytes_max: int
    export_rows_max: int
    exports_max: int
    streams_max: int
    refused_minute_max: int
    approval_above: str
    approval_s: float


def limits(settings: Settings) -> Limits:
    """Return the limits that the settings give."""
    return Limits(**{name: getattr(settings, name) for name in Limits.__struct_fields__})
