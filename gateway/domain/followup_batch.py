"""A batch of follow-ups folded over its locked orders, and the rows that result.

No I/O: ``Fold`` takes what the statements read, and collects what the next one writes.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from gateway.domain import authority, events, folding, followup_rows, followup_topics
from gateway.domain.action_gate import ActionGate
from gateway.domain.asking import Asked
from gateway.domain.following import (
    Done,
    FollowUp,
    OrderState,
    Parcel,
    Parked,
    PaymentState,
    Settle,
    Step,
)
from gateway.domain.followup_orders import KnownOrders
from gateway.domain.followup_payments import KnownPayments
from gateway.domain.followup_rows import (
    Context,
    HistoryRow,
    OutboxRow,
    ParkedRow,
    WaitingEvent,
    history_row,
)
from gateway.domain.orders import Hold, Status


class Fold:
    """Folds the entries of a batch one by one; holds every row to write at the end.

    Invariants:

    - An entry whose (source, source_key) is recorded changes nothing: it is a repeat.
    - After each entry, nothing waits any more that can be applied to the order it touched.
    - A row of ``waiting`` is in at most one of ``settled`` and ``tried``: the statement that
      writes cannot delete a row and mark it, and would do only one of the two.
    - Each change of an order raises its version and stages one outbox row. ``order.paid`` is
      staged once the order is paid and no hold stops its hand-off.
    """

    def __init__(
        self,
        *,
        orders: Sequence[OrderState],
        context: Context,
        rules: folding.Rules,
    ) -> None:
        self.payments = KnownPayments(context.payments)
        self._orders = KnownOrders(orders, payments=self.payments, new_id=rules.new_id)
        self.gate = ActionGate(context=context, payments=self.payments, rules=rules)
        self._waiting = {row.id: row for row in context.waiting}
        self._recorded = context.recorded
        self._rules = rules
        self._new_id = rules.new_id
        self.history: list[HistoryRow] = []
        self.new_waiting: list[WaitingEvent] = []
        self.settled: list[UUID] = []
        #: Rows that were tried and still wait; one that a later entry settles is removed again.
        self.tried: set[UUID] = set()
        self.outbox: list[OutboxRow] = []
        self.parked: list[ParkedRow] = []
        self._reports: list[Parked] = []
        self.raw: list[FollowUp] = []
        #: By order: the last amendment that was applied to it.
        self.amended: dict[UUID, events.Amended] = {}
        #: (order, target) of the acceptances that were applied.
        self.accepted: set[tuple[UUID, str]] = set()
        #: Messages with another address for an order, in the order in which they were applied.
        self.readdressed: list[tuple[UUID, FollowUp]] = []

    def take(self, entry: FollowUp | Settle) -> Done:
        """Fold one entry; return its outcome, true once the batch is committed."""
        reports = len(self._reports)
        done = self._take(entry)
        if len(self._reports) == reports:
            return done
        return msgspec.structs.replace(done, parked=tuple(self._reports[reports:]))

    def _take(self, entry: FollowUp | Settle) -> Done:
        if isinstance(entry, Settle):
            order = self._orders.by_id(entry.order_id)
            if order is None:
                return Done("repeat")
            self._settle(order)
            return followup_rows.done(Step("applied"), order)
        key = (entry.source, entry.source_key)
        order = self._orders.of(entry)
        asked = entry.asked
        if key in self._recorded:
            return self.gate.repeated(entry) or followup_rows.done(Step("repeat"), order)
        if asked is not None:
            judged = self._act(entry, asked, order, key)
            if isinstance(judged, Done):
                return judged
            entry = judged
        self._recorded.add(key)
        step = self._apply(entry, order, entry.id, key, is_new=True)
        if entry.raw is not None:
            self.raw.append(entry)
        if step.outcome == "waiting":
            self._wait(entry)
        elif order is not None:
            self._settle(order)
        if asked is not None and order is not None:
            self.gate.answer(entry, asked, order)
        return followup_rows.done(step, order, is_new=True)

    def _act(
        self, entry: FollowUp, asked: Asked, order: OrderState | None, key: tuple[str, str]
    ) -> Done | FollowUp:
        """Return an action as it is to be folded, or the answer to one that changes nothing.

        One that was journaled, and is not allowed, is parked: it was answered otherwise.
        """
        if asked.is_trial or not self._rules.is_late:
            return self.gate.stopped(entry, asked, order) or self.gate.as_latest(entry, order)
        refusal = self.gate.refused_late(entry, asked, order)
        if refusal is None:
            return entry
        at = order.status if order is not None else None
        step = Step("parked", at, at, "action_refused", refusal.detail)
        self._recorded.add(key)
        self.history.append(history_row(entry, order, step, entry.id, key))
        self._park(entry, order, step, key)
        if entry.raw is not None:
            self.raw.append(entry)
        return followup_rows.done(step, order, is_new=True)

    def is_empty(self) -> bool:
        """Return whether there is nothing to write: the whole batch was repeats."""
        return not (self.history or self.tried or self.settled)

    def changed_orders(self) -> list[OrderState]:
        """Return the orders whose version was raised."""
        return self._orders.changed()

    def changed_parcels(self) -> list[Parcel]:
        """Return the parcels of changed orders that are new or different."""
        return self._orders.changed_parcels()

    def _apply(
        self,
        entry: FollowUp | WaitingEvent,
        order: OrderState | None,
        history_id: UUID,
        key: tuple[str, str],
        *,
        is_new: bool,
    ) -> Step:
        event = entry.event
        payment = authority.payment_of(
            self.payments.named(entry.provider, event),
            source=entry.source,
            channels=entry.channels,
            order=order,
        )
        is_new_payment = False
        if payment is None and isinstance(event, events.PaymentSucceeded):
            payment = self.payments.report(entry, event, id_=self._new_id())
            is_new_payment = True
            self._park_made_up(entry, event, key)
        before = (order.version, order.status, order.hold) if order is not None else None
        refund_key = events.refund_key(payment.source if payment else entry.source, event)
        if self._is_counted(entry, payment, refund_key):
            status = order.status if order is not None else None
            step = Step("repeat", status, status)
        else:
            known = self.payments.of(order.id if order is not None else None, payment)
            step = folding.apply(
                event,
                order=order,
                payment=payment,
                is_new=is_new_payment,
                known=known,
                rules=self._rules,
            )
            if isinstance(event, events.PaymentSucceeded):
                for each in known:
                    self.payments.index(each)
                if not is_new_payment:
                    self.payments.join(entry.source, entry.provider, event)
        if step.outcome == "waiting" and not is_new:
            return step
        if payment is not None and order is not None and step.outcome == "repeat":
            self._close_own(entry, order, payment)
        self.history.append(history_row(entry, order, step, history_id, key))
        is_own_number = payment is not None and payment.transaction_id == events.transaction_id(
            event
        )
        if (
            refund_key
            and step.outcome == "applied"
            and is_own_number
            and (refund_key not in self._recorded)
        ):
            # Not a step of the order: a gateway of the version before takes the next report of this
            # refund for a repeat by it. It knows a payment by its own number only.
            self._recorded.add(refund_key)
            noted = history_row(entry, None, Step("noted"), self._new_id(), refund_key)
            self.history.append(noted)
        if order is not None and before is not None and order.version != before[0]:
            self._changed(entry, order, before[1], before[2])
        if step.outcome == "parked":
            self._park(entry, order, step, key)
        return step

    def _is_counted(
        self,
        entry: FollowUp | WaitingEvent,
        payment: PaymentState | None,
        key: tuple[str, str] | None,
    ) -> bool:
        """Return whether a single refund was booked when refunds had no rows.

        One that has rows is judged by them: it may have failed, and succeeded after that.
        """
        event = entry.event
        if key is None or not isinstance(event, events.RefundSucceeded):
            return False
        if self._recorded.isdisjoint({key, events.refund_key(entry.provider, event)}):
            return False
        told = payment.refunds if payment is not None else ()
        return not any(each.refund_no == event.refund_no for each in told)

    def _park_made_up(
        self,
        entry: FollowUp | WaitingEvent,
        event: events.PaymentSucceeded,
        key: tuple[str, str],
    ) -> None:
        """Park what a person booked to one order, and its provider tells of another one now."""
        for made in self.payments.made_up(entry, event):
            order = self._orders.by_id(made.order_id) if made.order_id is not None else None
            if order is None or order.channel not in entry.channels:
                continue
            if not order.has_number(event.order_no):
                detail = (
                    f"payment {event.transaction_id} was made up for this order; "
                    f"{entry.source} tells {event.order_no} of it"
                )
                at = order.status
                step = Step("parked", at, at, "duplicate_payment", detail)
                self._park(entry, order, step, key)

    def _close_own(
        self, entry: FollowUp | WaitingEvent, order: OrderState, counted: PaymentState
    ) -> None:
        """Mark the account's own report of a transaction that another account's report counts."""
        for own in self.payments.named(entry.provider, entry.event):
            if own is not counted and own.source == entry.source and own.standing == "waiting":
                own.order_id, own.standing = order.id, "repeat"

    def _wait(self, entry: FollowUp) -> None:
        row = WaitingEvent(
            id=entry.id,
            provider=entry.provider,
            source=entry.source,
            transaction_id=events.transaction_id(entry.event),
            channels=entry.channels,
            order_no=events.order_no(entry.event),
            event=entry.event,
            trigger=entry.trigger,
            received_at=entry.received_at,
            is_test=entry.is_test,
        )
        self._waiting[row.id] = row
        self.new_waiting.append(row)

    def _settle(self, order: OrderState) -> None:
        """Apply what waits for this order, until nothing more can be applied."""
        while True:
            mine = [row for row in self._waiting.values() if self._is_about(row, order)]
            mine.sort(key=lambda row: (folding.RANK[type(row.event)], row.received_at, row.id))
            settled = [row for row in mine if self._try_waiting(row, order)]
            if not settled:
                self.tried.update(row.id for row in mine if row not in self.new_waiting)
                return

    def _is_about(self, row: WaitingEvent, order: OrderState) -> bool:
        if not authority.may_touch(source=row.source, channels=row.channels, order=order):
            return False
        if order.has_number(row.order_no) and row.is_test is order.is_test:
            return True
        names_payment = not row.order_no or isinstance(row.event, events.MONEY_BACK)
        paid = self.payments.named(row.provider, row.event) if names_payment else ()
        return any(payment.order_id == order.id for payment in paid)

    def _try_waiting(self, row: WaitingEvent, order: OrderState) -> bool:
        step = self._apply(row, order, self._new_id(), ("waiting", str(row.id)), is_new=False)
        if step.outcome == "waiting":
            return False
        del self._waiting[row.id]
        if row in self.new_waiting:
            self.new_waiting.remove(row)
        else:
            self.tried.discard(row.id)
            self.settled.append(row.id)
        return True

    def _changed(
        self, entry: FollowUp | WaitingEvent, order: OrderState, status: Status, hold: Hold | None
    ) -> None:
        """Stage the outbox row of a change; ``status`` and ``hold`` are those before it.

        And keep what is written of an order beside its state: its lines, and where it goes.
        """
        event, at = entry.event, entry.received_at
        topic, priority = followup_topics.topic_of(event, order, status, hold)
        self.outbox.append(OutboxRow(self._new_id(), order.id, order.version, topic, priority, at))
        if isinstance(event, events.Amended):
            self.amended[order.id] = event
        elif isinstance(event, events.Accepted):
            self.accepted.add((order.id, event.target))
        elif isinstance(event, events.AddressChanged) and isinstance(entry, FollowUp):
            self.readdressed.append((order.id, entry))

    def _park(
        self,
        entry: FollowUp | WaitingEvent,
        order: OrderState | None,
        step: Step,
        key: tuple[str, str],
    ) -> None:
        assert step.reason is not None, "what is parked has a reason"
        number = order.order_no if order is not None else events.order_no(entry.event)
        transaction_id = events.transaction_id(entry.event)
        self._reports.append(Parked(step.reason, entry.provider, number, transaction_id))
        self.parked.append(
            ParkedRow(
                id=self._new_id(),
                source=key[0],
                source_key=key[1],
                order_id=order.id if order is not None else None,
                reason=step.reason,
                detail=step.detail,
                received_at=entry.received_at,
                account=entry.source,
                order_no=events.order_no(entry.event),
                transaction_no=events.transaction_id(entry.event),
            )
        )
