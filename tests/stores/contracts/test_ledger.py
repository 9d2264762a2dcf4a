"""The ledger as the committer sees it: an answer for each entry in order, a bad one for itself."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from gateway.domain.errors import TidegateError
from gateway.domain.placing import Placed, Placement
from gateway.intake import batch_writer
from gateway.stores.postgres.ledger import Ledger
from tests.domain.support import due, follow_up, paid, placement
from tests.support.fakes.ledger import ScriptedLedger, answered

from .conftest import RealLedger

#: PostgreSQL has no such text.
UNSTORABLE = "b\x00"


class Subject(Protocol):
    @property
    def ledger(self) -> batch_writer.Ledger: ...

    async def is_stored(self, order: Placement) -> bool:
        """Return whether an order was committed."""
        ...


@dataclass
class Fake:
    ledger: ScriptedLedger

    def __post_init__(self) -> None:
        self.ledger.answer = self._answer

    async def is_stored(self, order: Placement) -> bool:
        return order in self.ledger.committed

    def _answer(self, entry: Any) -> Any:
        if isinstance(entry, Placement) and entry.submission.buyer_id == UNSTORABLE:
            raise self.ledger.bad_row("character [22021]")
        return answered(entry)


@dataclass
class Real:
    ledger: Ledger
    real: RealLedger

    async def is_stored(self, order: Placement) -> bool:
        pool = self.real.gateway.stores.primary
        return bool(await pool.fetchval("SELECT count(*) FROM orders WHERE id = $1", order.id))


@pytest.fixture
def subject(ledger_or_none: RealLedger | None) -> Subject:
    if ledger_or_none is None:
        return Fake(ScriptedLedger())
    gateway = ledger_or_none.gateway
    stores = gateway.stores
    made = Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=False)
    return Real(made, ledger_or_none)


def orders(*numbers: int, buyer_id: str = "b-{n}") -> list[Placement]:
    now = datetime.now(UTC)
    return [
        placement(due(n, order_no=f"W-{n}", buyer_id=buyer_id.format(n=n)), received_at=now)
        for n in numbers
    ]


def seen(placed: Placed | TidegateError) -> tuple[object, ...]:
    assert isinstance(placed, Placed)
    return placed.answer, placed.id, placed.channel, placed.order_no, placed.hold


async def test_orders_are_answered_in_order_and_committed(subject: Subject) -> None:
    batch = orders(3, 1, 2)
    found = await subject.ledger.place(batch)
    assert [seen(each) for each in found] == [
        ("placed", each.id, "web", each.submission.order_no, None) for each in batch
    ]
    assert all([await subject.is_stored(each) for each in batch])


async def test_events_are_answered_in_order(subject: Subject) -> None:
    await subject.ledger.place(orders(1, 2))
    now = datetime.now(UTC)
    events = [
        follow_up(paid(order_no=f"W-{n}", transaction_id=f"T-{n}"), received_at=now) for n in (2, 1)
    ]
    assert [each.outcome for each in await subject.ledger.follow(events)] == ["applied"] * 2


async def test_a_bad_row_is_its_own_answer_or_keeps_all_out(subject: Subject) -> None:
    good, other = orders(1, 2)
    (bad,) = orders(3, buyer_id=UNSTORABLE)
    try:
        answers = await subject.ledger.place([good, bad, other])
    except subject.ledger.bad_row:
        assert not any([await subject.is_stored(each) for each in (good, bad, other)])
    else:
        assert isinstance(answers[1], subject.ledger.bad_row)
        assert [seen(answers[n])[1] for n in (0, 2)] == [good.id, other.id]
        assert not await subject.is_stored(bad)
    with pytest.raises(subject.ledger.bad_row):
        (answer,) = await subject.ledger.place([bad])
        if isinstance(answer, TidegateError):
            raise answer
    await subject.ledger.place([good])
    assert await subject.is_stored(good)


async def test_what_is_parked_twice_keeps_its_first_id(subject: Subject) -> None:
    now = datetime.now(UTC)
    (order,) = orders(1)
    event, other = (follow_up(paid(), key, received_at=now) for key in ("evt_1", "evt_2"))
    ids = [await subject.ledger.park(each, "bad_row") for each in (order, event, other)]
    assert len(set(ids)) == 3
    assert all(ids)
    assert [await subject.ledger.park(each, "again") for each in (order, event, other)] == ids
