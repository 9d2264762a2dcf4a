"""A refused callback, kept for a while so that a person can find out why."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct


class RejectedCallback(Struct, frozen=True):
    """What arrived and why it was refused. ``headers`` and ``body`` may hold private data."""

    id: UUID
    provider: str
    account: str
    reason: str
    hint: str
    received_at: datetime
    headers: Sequence[tuple[str, str]]
    body: bytes

    def __repr__(self) -> str:
        """Show nothing of the message: what is shown ends up in logs."""
        return f"RefusedCallback({self.id}, {self.provider}/{self.account}, {self.reason})"
