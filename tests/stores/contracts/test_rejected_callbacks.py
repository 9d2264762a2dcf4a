"""Rejected callbacks: stored whole, once, and of one call all or none."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import msgspec
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.rejected_callbacks import RejectedCallback
from gateway.runtime.ids import UUIDv7
from gateway.stores.postgres.errors import BadRow
from gateway.stores.postgres.rejected_callbacks import RejectedCallbacks, Unopened
from tests.domain.support import NOW
from tests.support.fakes.rejected_callbacks import FakeRejectedCallbacks

from .conftest import RealLedger
from .support import retried

new_id = UUIDv7()


class Store(Protocol):
    async def add(self, rows: Sequence[RejectedCallback]) -> None: ...


class Subject(Protocol):
    @property
    def store(self) -> Store: ...

    async def stored(self, id_: UUID) -> RejectedCallback | None:
        """Return one as it is stored."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the ledger does not answer."""
        ...


@dataclass
class Fake:
    store: FakeRejectedCallbacks

    async def stored(self, id_: UUID) -> RejectedCallback | None:
        return self.store.stored.get(id_)

    @contextmanager
    def away(self) -> Iterator[None]:
        self.store.is_away = True
        yield
        self.store.is_away = False


@dataclass
class Real:
    store: RejectedCallbacks
    real: RealLedger

    async def stored(self, id_: UUID) -> RejectedCallback | None:
        opened = await self.store.open(id_, actor="ann")
        assert not isinstance(opened, Unopened)
        return opened

    def away(self) -> AbstractContextManager[None]:
        return self.real.away()


@pytest.fixture
def subject(ledger_or_none: RealLedger | None) -> Subject:
    if ledger_or_none is None:
        return Fake(FakeRejectedCallbacks())
    stores = ledger_or_none.gateway.stores
    return Real(RejectedCallbacks(pool=stores.primary, sealer=stores.sealer), ledger_or_none)


def callback(hint: str = "a wrong clock", body: bytes = b"\x00body\xff") -> RejectedCallback:
    headers = [("Signature", "v1=0"), ("X", "häß")]
    return RejectedCallback(new_id(), "stripe", "main", "stale", hint, NOW, headers, body)


async def test_they_are_stored_as_they_were_added(subject: Subject) -> None:
    rows = [callback(), callback(body=b"")]
    await subject.store.add(rows)
    assert [await subject.stored(row.id) for row in rows] == rows
    assert await subject.stored(new_id()) is None


async def test_what_is_stored_already_stays_as_it_is(subject: Subject) -> None:
    first, other = callback(), callback()
    await subject.store.add([first])
    await subject.store.add([msgspec.structs.replace(first, hint="changed"), other])
    assert await subject.stored(first.id) == first
    assert await subject.stored(other.id) == other


@pytest.mark.parametrize("text", ["\udcff", "a\x00b"])
async def test_one_that_cannot_be_stored_keeps_all_of_its_call_out(
    subject: Subject, text: str
) -> None:
    good, bad = callback(), callback(hint=text)
    with pytest.raises(BadRow):
        await subject.store.add([good, bad])
    assert await subject.stored(good.id) is None
    await subject.store.add([good])
    assert await subject.stored(good.id) == good


async def test_a_ledger_that_is_away_is_unavailable(subject: Subject) -> None:
    row = callback()
    with subject.away(), pytest.raises(Unavailable):
        await subject.store.add([row])
    await retried(lambda: subject.store.add([row]))
    assert await subject.stored(row.id) == row
