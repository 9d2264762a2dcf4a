"""A ledger with scripted answers, which keeps what ``gateway.stores.postgres.ledger`` promises."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.domain.following import Done, Entry, FollowUp
from gateway.domain.placing import Placed, Placement
from gateway.stores.postgres.errors import BadRow


class ScriptedLedger:
    """Answers a batch once ``gate`` is open, with what ``answer`` makes of each entry.

    An ``answer`` that raises fails the whole batch, as one bad row does in a database.
    """

    bad_row = BadRow

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        #: What was to be committed, and what was.
        self.batches: list[Sequence[Any]] = []
        self.committed: list[Any] = []
        self.parked: list[tuple[object, str]] = []
        self.answer: Callable[[Any], Any] = answered
        self._parked_ids: dict[tuple[str, str], str] = {}

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed]:
        return await self._commit(batch)

    async def follow(self, batch: Sequence[Entry]) -> Sequence[Done]:
        return await self._commit(batch)

    async def park(self, entry: Placement | FollowUp, reason: str) -> str:
        self.parked.append((entry, reason))
        if isinstance(entry, Placement):
            key = entry.submission.channel, entry.submission.order_no
        else:
            key = entry.source, entry.source_key
        return self._parked_ids.setdefault(key, f"parked-{len(self._parked_ids) + 1}")

    async def _commit(self, batch: Sequence[Any]) -> Sequence[Any]:
        self.batches.append(batch)
        await self.gate.wait()
        answers = [self.answer(entry) for entry in batch]
        self.committed += batch
        return answers


def answered(entry: Placement | Entry) -> Placed | Done:
    """Return the plainest answer there is to an entry."""
    if isinstance(entry, Placement):
        sent = entry.submission
        return Placed("placed", entry.id, sent.channel, sent.order_no, None)
    return Done("applied")
