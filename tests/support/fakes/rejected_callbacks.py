"""Rejected callbacks in memory, as ``gateway.stores.postgres.rejected_callbacks`` adds them."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.errors import Unavailable
from gateway.domain.rejected_callbacks import RejectedCallback
from gateway.stores.postgres.errors import BadRow


class FakeRejectedCallbacks:
    """The rows by id, in the order in which they were added."""

    def __init__(self) -> None:
        self.stored: dict[UUID, RejectedCallback] = {}
        self.is_away = False

    @property
    def rows(self) -> list[RejectedCallback]:
        """All of them, the oldest first."""
        return list(self.stored.values())

    async def add(self, rows: Sequence[RejectedCallback]) -> None:
        if self.is_away:
            raise Unavailable("postgres")
        if any(_is_bad(row.provider + row.account + row.reason + row.hint) for row in rows):
            raise BadRow("a text that the database cannot store")
        for row in rows:
            self.stored.setdefault(row.id, row)


def _is_bad(text: str) -> bool:
    return any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in text)
