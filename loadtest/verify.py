"""Compare what was acknowledged with what is stored: a 2xx is a promise, and this is its test.

``verify`` compares the history of the senders with the rows of the ledger. It does not know how
either came about, so the demo, the kill -9 test and the fault matrix share it. Three standings
(see ``history``): an acknowledged message must be stored, once and whole; a refused one must not
be; an unknown one may or may not be, but never twice and never half.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from loadtest.history import JOURNALED, Answer, CallbackSent, History, OrderSent, standing
from loadtest.ledger_contents import Event, Order, Payment, Stored, TableDigest

_SHOWN_MAX = 5
_PAID_STATUSES = ("paid", "shipped", "completed")
#: Reasons that put an order on hold, which counts as a change of it.
_HOLDING = ("amount_mismatch", "paid_after_close", "duplicate_payment")


class Check(msgspec.Struct, frozen=True):
    """One line of the verdict. ``wrong`` names the first few violations."""

    name: str
    expected: int | str
    found: int | str
    wrong: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.expected == self.found


def every(name: str, faults: Iterable[str]) -> Check:
    """Make the check that every case is right: one text per case, empty when it is right."""
    faults = list(faults)
    wrong = [fault for fault in faults if fault]
    return Check(name, len(faults), len(faults) - len(wrong), wrong[:_SHOWN_MAX])


def none(name: str, wrong: Iterable[str]) -> Check:
    """Make the check that there is no such case."""
    wrong = list(wrong)
    return Check(name, 0, len(wrong), wrong[:_SHOWN_MAX])


def verify(
    history: History,
    stored: Stored,
    *,
    tolerated: Collection[int] = (),
    parking: Collection[str] = (),
) -> list[Check]:
    """Compare; every check of the result must be ``ok``.

    ``tolerated`` are statuses that a sender may see during a fault, such as 503,
    ``history.JOURNALED`` or ``history.NO_ANSWER``; ``parking`` are the prefixes of the reasons for
    which messages may be parked then. Call it when no message is in flight.
    """
    comparison = _Comparison(history, stored)
    return [
        every("acknowledged orders stored once, with their id", comparison.orders()),
        none("orders stored that were never sent", comparison.strange_orders()),
        none("orders answered 201 twice, or refused and stored", comparison.odd_orders()),
        none("repeats of an order answered differently", comparison.odd_repeats()),
        every("paid orders paid exactly once", comparison.paid()),
        none("payments and paid orders out of nothing", comparison.strange_payments()),
        every("wrong amounts parked, order held, not paid", comparison.mismatched()),
        every("refunds booked exactly once", comparison.refunded()),
        every("acknowledged callbacks in the history once", comparison.recorded()),
        none("events in the history that were never sent", comparison.strange_events()),
        every("forgeries refused with 4xx", comparison.forged()),
        none("forgeries that left a trace", comparison.forged_traces()),
        every("messages stored as they arrived, once", comparison.kept()),
        every("orders with the status of their history", comparison.statuses()),
        none("parked without being wrong", comparison.strange_parked(parking)),
        none("aliases of nothing, or of what has that id", comparison.strange_aliases()),
        none("events that still wait", stored.waiting),
        none("unexpected answers", comparison.odd_answers(tolerated)),
    ]


def compare(primary: Mapping[str, TableDigest], replica: Mapping[str, TableDigest]) -> list[Check]:
    """Compare the tables of a replica with those of its primary."""
    return [
        Check(f"replica equals primary: {table}", _brief(digest), _brief(replica[table]))
        for table, digest in primary.items()
    ]


def _brief(contents: TableDigest) -> str:
    return f"{contents.rows:,} rows {contents.digest[:8]}"


class _Order(msgspec.Struct):
    """One order from both sides: the messages sent about it, and its rows in every table."""

    sent: OrderSent
    rows: list[Order]
    payments: list[Payment]
    events: list[Event]
    right: list[CallbackSent]
    wrong: list[CallbackSent]
    refunds: list[CallbackSent]


class _Comparison:
    """Both sides, indexed."""

    def __init__(self, history: History, stored: Stored) -> None:
        self._history = history
        self._stored = stored
        self._true = [sent for sent in history.callbacks if not sent.is_forged]
        self._forged = [sent for sent in history.callbacks if sent.is_forged]
        self._events: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in stored.events:
            self._events[event.source, event.source_key].append(event)
        self._transactions = {(row.provider, row.transaction_id) for row in stored.payments}
        self._orders = self._joined()

    def _joined(self) -> dict[tuple[str, str], _Order]:
        joined = {
            key: _Order(sent, [], [], [], [], [], []) for key, sent in self._history.orders.items()
        }
        by_id: dict[object, _Order] = {}
        for row in self._stored.orders:
            if order := joined.get((row.channel, row.order_no)):
                order.rows.append(row)
                by_id[row.id] = order
        for payment in self._stored.payments:
            if order := by_id.get(payment.order_id):
                order.payments.append(payment)
        for event in self._stored.events:
            if order := by_id.get(event.order_id):
                order.events.append(event)
        for sent in self._true:
            order = joined[sent.channel, sent.order_no]
            if sent.kind == "refund":
                order.refunds.append(sent)
            elif (sent.amount, sent.currency) == (order.sent.payable, order.sent.currency):
                order.right.append(sent)
            else:
                order.wrong.append(sent)
        return joined

    def orders(self) -> Iterable[str]:
        for order in self._orders.values():
            if _is_acknowledged(order.sent):
                ids = {self._id(answer) for answer in order.sent.answers if answer.is_promise}
                stored_ids = [str(row.id) for row in order.rows]
                is_right = len(stored_ids) == 1 and ids == {stored_ids[0]}
                yield (
                    ""
                    if is_right
                    else f"{order.sent.order_no}: answered {sorted(ids)}, stored as {stored_ids}"
                )

    def _id(self, answer: Answer) -> str:
        # Only the id of a journaled order may be another than that of the stored one.
        if answer.status == JOURNALED and answer.id:
            return str(self._stored.aliases.get(UUID(answer.id), answer.id))
        return answer.id

    def strange_orders(self) -> Iterable[str]:
        seen = set()
        for row in self._stored.orders:
            key = row.channel, row.order_no
            if key not in self._orders or key in seen:
                yield f"{row.order_no} ({row.id})"
            seen.add(key)

    def odd_orders(self) -> Iterable[str]:
        for order in self._orders.values():
            answers = order.sent.answers
            created = sum(answer.status == 201 for answer in answers)
            if created > 1:
                yield f"{order.sent.order_no}: 201 {created} times"
            if standing(answers) == "refused" and order.rows:
                yield f"{order.sent.order_no}: refused, and stored"

    def odd_repeats(self) -> Iterable[str]:
        for order in self._orders.values():
            promises = [answer for answer in order.sent.answers if answer.is_promise]
            # The journal gives one answer and the ledger one: the ids may differ, see the aliases.
            for is_journaled in (True, False):
                bodies = {
                    answer.body
                    for answer in promises
                    if (answer.status == JOURNALED) == is_journaled
                }
                if len(bodies) > 1:
                    yield f"{order.sent.order_no}: {b' and '.join(sorted(bodies)).decode()}"

    def paid(self) -> Iterable[str]:
        for order in self._orders.values():
            if any(map(_is_acknowledged, order.right)) and _is_acknowledged(order.sent):
                yield _paid_fault(order)

    def strange_payments(self) -> Iterable[str]:
        sent = {(each.provider, each.transaction_id) for each in self._true}
        seen = set()
        for payment in self._stored.payments:
            key = payment.provider, payment.transaction_id
            if key not in sent or key in seen:
                yield f"transaction {payment.transaction_id}"
            seen.add(key)
        for order in self._orders.values():
            is_possible = any(standing(each.answers) != "refused" for each in order.right)
            for row in order.rows:
                if row.paid and not is_possible:
                    yield f"{row.order_no}: {row.paid} paid, which was never sent"

    def mismatched(self) -> Iterable[str]:
        for order in self._orders.values():
            for sent in order.wrong:
                if _is_acknowledged(sent) and _is_acknowledged(order.sent):
                    yield self._mismatch_fault(order, sent)

    def _mismatch_fault(self, order: _Order, sent: CallbackSent) -> str:
        ids = {row.id for row in order.rows}
        parked = [row for row in self._stored.parked if row.order_id in ids]
        if [row.reason for row in parked] != ["amount_mismatch"]:
            return f"{sent.order_no}: parked as {[row.reason for row in parked]}"
        row = order.rows[0]
        standings = [
            each.standing for each in order.payments if each.transaction_id == sent.transaction_id
        ]
        if standings != ["mismatch"]:
            return f"{sent.order_no}: its payment is {standings}"
        if not order.right and (row.hold, row.paid, row.status) != (
            "amount_mismatch", Decimal(0), "pending_payment",
        ):  # fmt: skip
            return f"{sent.order_no}: {row.status}, held for {row.hold}, {row.paid} paid"
        return ""

    def refunded(self) -> Iterable[str]:
        for order in self._orders.values():
            if any(map(_is_acknowledged, order.refunds)) and _is_acknowledged(order.sent):
                yield _refund_fault(order)

    def recorded(self) -> Iterable[str]:
        for sent in self._true:
            if _is_acknowledged(sent):
                counts = [len(self._events.get((sent.source, key), ())) for key in sent.keys]
                is_right = all(count == 1 for count in counts)
                yield "" if is_right else f"{sent.source} {sent.keys}: recorded {counts} times"

    def strange_events(self) -> Iterable[str]:
        known = {(sent.source, key) for sent in self._true for key in sent.keys}
        known |= {(f"placed:{channel}", order_no) for channel, order_no in self._orders}
        # An event that waited is recorded again, under its own id, when its order has arrived.
        known |= {("waiting", str(event.id)) for event in self._stored.events}
        for key, events in self._events.items():
            # An event that is only noted has no effect.
            if key not in known and any(event.outcome != "noted" for event in events):
                yield " ".join(key)

    def forged(self) -> Iterable[str]:
        for sent in self._forged:
            is_right = standing(sent.answers) == "refused"
            statuses = [answer.status for answer in sent.answers]
            yield "" if is_right else f"{sent.source} {sent.keys[0]}: answered {statuses}"

    def forged_traces(self) -> Iterable[str]:
        for sent in self._forged:
            is_recorded = any((sent.source, key) in self._events for key in sent.keys)
            if is_recorded or (sent.provider, sent.transaction_id) in self._transactions:
                yield f"{sent.source} {sent.keys[0]} about {sent.order_no}"

    def kept(self) -> Iterable[str]:
        raw = self._stored.raw
        for order in self._orders.values():
            if _is_acknowledged(order.sent):
                count = sum(raw[row.id] for row in order.rows)
                yield "" if count == 1 else f"{order.sent.order_no}: stored {count} times"
        for sent in self._true:
            if _is_acknowledged(sent):
                count = sum(raw[event.id] for event in self._events[sent.source, sent.keys[0]])
                yield "" if count == 1 else f"{sent.source} {sent.keys[0]}: stored {count} times"

    def statuses(self) -> Iterable[str]:
        for order in self._orders.values():
            for row in order.rows:
                yield _status_fault(row, order.events)

    def strange_parked(self, parking: Collection[str]) -> Iterable[str]:
        held = {row.id for order in self._orders.values() if order.wrong for row in order.rows}
        return [
            f"{row.source} {row.source_key}: {row.reason}"
            for row in self._stored.parked
            if row.order_id not in held and not row.reason.startswith(tuple(parking))
        ]

    def strange_aliases(self) -> Iterable[str]:
        ids = {row.id for row in self._stored.orders}
        for alias, order_id in self._stored.aliases.items():
            if alias in ids or order_id not in ids:
                yield f"{alias} for {order_id}"

    def odd_answers(self, tolerated: Collection[int]) -> Iterable[str]:
        for order in self._orders.values():
            for answer in order.sent.answers:
                if answer.status not in (200, 201, *tolerated):
                    yield f"{answer.status} to order {order.sent.order_no}"
        for sent in self._true:
            for answer in sent.answers:
                if not answer.is_promise and answer.status not in tolerated:
                    yield f"{answer.status} to {sent.source} {sent.keys[0]}"


def _is_acknowledged(sent: OrderSent | CallbackSent) -> bool:
    return standing(sent.answers) == "acknowledged"


def _paid_fault(order: _Order) -> str:
    number, due = order.sent.order_no, order.sent.payable
    if len(order.rows) != 1:
        return f"{number}: {len(order.rows)} rows"
    row = order.rows[0]
    applied = [payment for payment in order.payments if payment.standing == "applied"]
    if [payment.amount for payment in applied] != [due] or row.paid != due:
        amounts = [str(payment.amount) for payment in applied]
        return f"{number}: {due} due, {amounts} applied, {row.paid} paid"
    is_refunded = row.refunded == row.paid and bool(order.refunds)
    if row.status not in (("refunded",) if is_refunded else _PAID_STATUSES):
        return f"{number}: paid in full, and {row.status}"
    moves = sum(
        event.action == "payment_succeeded" and event.outcome == "applied" for event in order.events
    )
    return "" if moves == 1 else f"{number}: paid {moves} times in its history"


def _refund_fault(order: _Order) -> str:
    number = order.sent.order_no
    certain = [sent for sent in order.refunds if _is_acknowledged(sent)]
    possible = [sent for sent in order.refunds if standing(sent.answers) != "refused"]
    low, high = _refunded_total(certain), _refunded_total(possible)
    booked = sum((payment.refunded for payment in order.payments), Decimal(0))
    for row in order.rows:
        if not low <= row.refunded <= high or row.refunded != booked:
            return f"{number}: {row.refunded} refunded ({booked} of payments), {low} promised"
        if (row.status == "refunded") != (row.refunded == row.paid):
            return f"{number}: {row.refunded} of {row.paid} refunded, and {row.status}"
    return "" if order.rows else f"{number}: not stored"


def _refunded_total(refunds: Sequence[CallbackSent]) -> Decimal:
    alone = sum((sent.amount for sent in refunds if not sent.is_cumulative), Decimal(0))
    so_far = max((sent.amount for sent in refunds if sent.is_cumulative), default=Decimal(0))
    return alone + so_far


def _status_fault(row: Order, events: Sequence[Event]) -> str:
    """Return what is wrong when the status does not follow from the history; else ""."""
    placed = [event for event in events if event.action == "placed"]
    if len(placed) != 1:
        return f"{row.order_no}: placed {len(placed)} times in its history"
    steps = [event for event in events if event.outcome == "applied" and event is not placed[0]]
    moves = {event.from_status: event.to_status for event in steps if _is_move(event)}
    status: str | None = placed[0].to_status
    for _ in range(len(moves)):
        status = moves.get(status)
    if status != row.status or len(moves) != sum(map(_is_move, steps)):
        return f"{row.order_no}: {row.status}, but its history has {moves}"
    changes = len(steps) + sum(event.reason in _HOLDING for event in events)
    if row.version != 1 + changes:
        return f"{row.order_no}: version {row.version} after {changes} changes"
    return ""


def _is_move(event: Event) -> bool:
    return event.from_status != event.to_status
