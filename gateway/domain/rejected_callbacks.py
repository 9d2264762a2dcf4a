"""A rejected callback, stored for a while so that an operator can find out why."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct


class RejectedCallback(Struct, frozen=True):
    """What arrived and why it was rejected. ``headers`` and ``body`` may hold private data."""

    id: UUID
    provider: str
    account: str
    reason: str
    hint: str
    received_at: datetime
    headers: Sequence[tuple[str, str]]
    body: bytes

    def __repr__(self) -> str:
        """Show nothing of the message: a repr ends up in logs."""
        return f"RejectedCallback({self.id}, {self.provider}/{self.account}, {self.reason})"
