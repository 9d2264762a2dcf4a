"""What holds after every batch of any history, however it was mixed."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events, holds, transitions
from gateway.domain.following import Done, FollowUp, OrderState, Settle
from gateway.domain.orders import Hold
from tests.domain import histories
from tests.domain.machine import Machine
from tests.domain.support import follow_up, order_state


class Checked(Machine):
    """A ledger that looks at itself after each batch."""

    def follow(self, batch: Sequence[FollowUp | Settle]) -> list[Done]:
        before = {id_: copy.copy(order) for id_, order in self.orders.items()}
        told = len(self.outbox)
        done = super().follow(batch)
        for order in self.orders.values():
            self._check_sums(order)
            self._check_history(order)
            self._check_outbox(order, before.get(order.id), told)
        self._check_that_nothing_waits_in_vain()
        return done

    def _check_sums(self, order: OrderState) -> None:
        mine = [each for each in self.payments.values() if each.order_id == order.id]
        counted = [each for each in mine if each.standing in holds.COUNTED]
        assert order.status == transitions.status_of(order)
        assert order.hold == holds.hold_of(order, mine)
        assert order.paid == sum((each.amount for each in counted), Decimal(0))
        assert order.refunded == sum((each.refunded for each in counted), Decimal(0))

    def _check_history(self, order: OrderState) -> None:
        at: str = "pending_payment"
        for row in self.history.values():
            if row.order_id == order.id and row.to_status is not None:
                assert row.from_status == at, "each move begins where the one before it ended"
                at = row.to_status
        assert at == order.status

    def _check_outbox(self, order: OrderState, before: OrderState | None, told: int) -> None:
        versions = [row.version for row in self.outbox[told:] if row.order_id == order.id]
        first = before.version if before is not None else 1
        assert versions == list(range(first + 1, order.version + 1)), "one row for each version"
        assert order == before or order.version > first, "no change without a version"
        topics = [row.topic for row in self.outbox if row.order_id == order.id]
        if order.status == "paid" and not holds.stops(order.hold, "hand_off"):
            assert "order.paid" in topics

    def _check_that_nothing_waits_in_vain(self) -> None:
        waiting = set(self.waiting)
        for id_ in list(self.orders):
            super().follow([Settle(id_)])
        assert set(self.waiting) == waiting


def played(random: Random, hold: Hold | None = None) -> Checked:
    """Let a history arrive in any order."""
    machine = Checked()
    order = order_state(hold=hold, placed_hold=hold)
    keys: dict[int, str] = {}
    for batch in histories.batches(random, histories.told_of(random)):
        if batch is None:
            machine.place(order)
        else:
            machine.follow(
                [follow_up(each, keys.setdefault(id(each), f"evt_{len(keys)}")) for each in batch]
            )
    return machine


@pytest.mark.parametrize("hold", [None, "lookalike"])
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_any_history_leaves_an_order_that_agrees_with_itself(hold: Hold | None, seed: int) -> None:
    machine = played(Random(seed), hold)
    ids: set[UUID | None] = {order.id for order in machine.orders.values()}
    money = [row for row in machine.waiting.values() if isinstance(row.event, events.OF_A_PAYMENT)]
    assert not money, "no money waits for an order that is there"
    assert {each.order_id for each in machine.payments.values()} <= ids
