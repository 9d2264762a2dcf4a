"""Replays of parked events, folded: decoded anew, and judged again under the lock of their order.

A parked event is recorded already, under its own key; judging it again writes a further line of
the history, under a key of the parked row. What it told before and did not count is replaced by
what is read now; money that counts is never taken back.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import authority, events, payments
from gateway.domain.folding import Rules
from gateway.domain.following import (
    Done,
    FollowUp,
    OrderState,
    PaymentState,
    Replay,
    Settle,
    Step,
)
from gateway.domain.followup_batch import Fold
from gateway.domain.followup_rows import Context, WaitingEvent, history_row

#: The source of replays in the history; the key is the parked row's id and the number of replays.
SOURCE = "replay"
#: What never waits for an order that does not exist.
_NOT_WAITING = (events.Noted, events.Unmapped, events.Delivered)


class ReplayedRow(Struct, frozen=True):
    """A parked row, locked. ``waiting``: the event that it is a note about, while that waits.

    ``transaction_no``: the number that its event named when it was parked.
    """

    id: UUID
    reason: str
    detail: str
    transaction_no: str
    replays: int
    is_open: bool
    waiting: WaitingEvent | None = None

    def history_key(self) -> tuple[str, str]:
        """Return source and key of the line of the history that a replay of it writes now."""
        if self.waiting is not None:
            return "waiting", str(self.waiting.id)
        return SOURCE, f"{self.id} {self.replays + 1}"


class Verdict(Struct, frozen=True):
    """What becomes of a parked row. ``is_resolved``: it is closed, by ``actor``.

    ``transaction_no`` and ``order_no`` are those that are read now.
    """

    id: UUID
    is_resolved: bool
    actor: str
    resolution: str
    reason: str
    detail: str
    order_id: UUID | None
    order_no: str
    transaction_no: str


class ReplayFold(Fold):
    """Folds a batch that has replays among its entries.

    Invariants, beside those of ``Fold``:

    - A row that is closed is a repeat: its replay changes nothing.
    - A replay that comes to what is known already writes no history and changes no order.
    """

    def __init__(
        self,
        *,
        orders: Sequence[OrderState],
        context: Context,
        rules: Rules,
        parked: Sequence[ReplayedRow],
    ) -> None:
        super().__init__(orders=orders, context=context, rules=rules)
        self._rows = {row.id: row for row in parked}
        self._replaying = False
        #: Verdicts of this batch, in the order of its replays.
        self.verdicts: list[Verdict] = []
        #: Payments that were told otherwise than they were first: all columns are written.
        self.corrected: dict[UUID, PaymentState] = {}
        #: Events that wait on, as they are read now.
        self.told_anew: list[WaitingEvent] = []

    def take(self, entry: FollowUp | Settle | Replay) -> Done:
        """Fold one entry, as ``Fold.take``."""
        return self._replay(entry) if isinstance(entry, Replay) else super().take(entry)

    def is_empty(self) -> bool:
        """Return whether there is nothing to write."""
        return super().is_empty() and not self.verdicts

    def _replay(self, replay: Replay) -> Done:
        row = self._rows.get(replay.parked_id)
        if row is None or not row.is_open:
            return Done("repeat", detail="closed already")
        entry = replay.entry
        if replay.waiting_id is not None and row.waiting is None:
            return self._finish(replay, row, None, Step("repeat", detail="applied already"))
        key = row.history_key()
        if row.waiting is not None:
            self._waiting.pop(row.waiting.id, None)
        if key in self._recorded:
            return self._finish(replay, row, None, Step("repeat", detail="applied already"))
        # Named twice in a batch, it is replayed once.
        self._rows[row.id] = msgspec.structs.replace(row, is_open=False)
        order = self._orders.of(entry)
        before = len(self.history)
        unchanged = self._forget_told(replay, row, order)
        if unchanged is not None:
            return self._finish(replay, row, order, unchanged)
        if order is None and row.waiting is not None and not isinstance(entry.event, _NOT_WAITING):
            self._wait_on(entry, row)
            return self._finish(replay, row, None, Step("waiting"))
        # What waited is parked under a row of its own, and the note about it is closed.
        self._replaying = row.waiting is None
        try:
            step = self._apply(entry, order, entry.id, key, is_new=row.waiting is None)
        finally:
            self._replaying = False
        if step.outcome == "parked" and not step.is_change:
            del self.history[before:]
        self._recorded.add(key)
        if step.outcome == "waiting":
            self._wait_on(entry, row)
        else:
            if row.waiting is not None:
                self.settled.append(row.waiting.id)
            if order is not None:
                self._settle(order)
        return self._finish(replay, row, order, step)

    def _finish(
        self, replay: Replay, row: ReplayedRow, order: OrderState | None, step: Step
    ) -> Done:
        event = replay.entry.event
        is_parked = step.outcome == "parked" and row.waiting is None
        is_open = is_parked or (step.outcome == "waiting" and row.waiting is not None)
        self.verdicts.append(
            Verdict(
                id=row.id,
                is_resolved=not is_open,
                actor=replay.actor,
                resolution=f"replayed: {step.outcome}{f', {step.detail}' if step.detail else ''}",
                reason=(step.reason or row.reason) if is_parked else row.reason,
                detail=step.detail if is_parked else row.detail,
                order_id=order.id if order is not None else None,
                order_no=events.order_no(event),
                transaction_no=events.transaction_id(event),
            )
        )
        if order is None:
            return Done(step.outcome, reason=step.reason, is_new=True, detail=step.detail)
        return Done(
            step.outcome, order.id, step.reason, order.status, order.version, order.hold,
            is_new=True, detail=step.detail,
        )  # fmt: skip

    def _forget_told(
        self, replay: Replay, row: ReplayedRow, order: OrderState | None
    ) -> Step | None:
        """Replace what the event told before and did not count, so that it is judged as new.

        Returns the step where that comes to what is known: it stays parked.
        """
        entry, event = replay.entry, replay.entry.event
        if not isinstance(event, events.PaymentSucceeded):
            return None
        payment = self._told_before(entry, event, row, order)
        if payment is None or payment.standing not in ("waiting", "mismatch") or payment.refunded:
            # What counts, or went back, stays as it was told: a contradiction is parked again.
            return None
        is_same = (payment.amount, payment.currency, payment.transaction_id) == (
            event.amount, event.currency, event.transaction_id,
        )  # fmt: skip
        if is_same and payment.standing == "mismatch" and order is not None:
            takes_parts = self._rules.takes_parts(order.channel)
            standing, reason, detail = payments.judge(event, order, takes_parts=takes_parts)
            if payment.order_id == order.id and standing == "mismatch":
                return Step("parked", order.status, order.status, reason, detail)
        left = payment.order_id
        if not is_same or (left is not None and (order is None or left != order.id)):
            self.corrected[payment.id] = payment
        payment.amount, payment.currency = event.amount, event.currency
        payment.order_no, payment.paid_at = event.order_no or payment.order_no, event.occurred_at
        payment.transaction_id = event.transaction_id
        payment.order_id, payment.standing = None, "waiting"
        self.payments.index(payment)
        self._leave(entry, left, order, row)
        return None

    def _told_before(
        self,
        entry: FollowUp,
        event: events.PaymentSucceeded,
        row: ReplayedRow,
        order: OrderState | None,
    ) -> PaymentState | None:
        """Return the payment that the event made when it was told first, perhaps misread.

        One under a misread number counts no more where the true one is known.
        """
        found = authority.payment_of(
            self.payments.named(entry.provider, event),
            source=entry.source,
            channels=entry.channels,
            order=None,
        )
        if row.transaction_no in ("", event.transaction_id):
            return found
        named = msgspec.structs.replace(event, transaction_id=row.transaction_no, names=())
        told = self.payments.named(entry.provider, named)
        misread = next((each for each in told if each.source == entry.source), None)
        if found is None or misread is None or misread is found:
            return found or misread
        if misread.standing in ("waiting", "mismatch") and not misread.refunded:
            misread.standing = "repeat"
            self._leave(entry, misread.order_id, order, row)
        return found

    def _leave(
        self, entry: FollowUp, left: UUID | None, paid: OrderState | None, row: ReplayedRow
    ) -> None:
        """Sum the order up again that a payment was told for, where it is not the one it paid."""
        order = self._orders.by_id(left) if left is not None else None
        if order is None or order is paid:
            return
        status, hold = order.status, order.hold
        payments.sum_up(order, self.payments.of(order.id, None))
        if order.hold == hold:
            return
        order.version += 1
        step = Step("applied", status, status, detail="the payment is another order's")
        key = SOURCE, f"{row.id} {row.replays + 1} left"
        self.history.append(history_row(entry, order, step, self._new_id(), key))
        self._changed(entry, order, status, hold)

    def _wait_on(self, entry: FollowUp, row: ReplayedRow) -> None:
        if row.waiting is None:
            self._wait(entry)
            return
        anew = WaitingEvent(
            id=row.waiting.id,
            provider=entry.provider,
            source=entry.source,
            transaction_id=events.transaction_id(entry.event),
            channels=entry.channels,
            order_no=events.order_no(entry.event),
            event=entry.event,
            trigger=row.waiting.trigger,
            received_at=row.waiting.received_at,
            is_test=entry.is_test,
        )
        self._waiting[anew.id] = anew
        if anew != row.waiting:
            self.told_anew.append(anew)

    def _park(
        self,
        entry: FollowUp | WaitingEvent,
        order: OrderState | None,
        step: Step,
        key: tuple[str, str],
    ) -> None:
        # A replayed event has its row already.
        if not self._replaying:
            super()._park(entry, order, step, key)
