"""Compare what was acknowledged with what is stored: a 2xx is a promise, and this is its test.

``verify`` compares the history of the senders with the rows of the ledger. It does not know how
either came about, so the demo, the kill -9 test and the fault matrix share it. Three standings
(see ``history``): an acknowledged message must be stored, once and whole; a refused one must not
be; an unknown one may or may not be, but never twice and never half.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from loadtest import money_checks
from loadtest.compared import Compared, is_acknowledged, parcel_fault, status_fault
from loadtest.history import JOURNALED, Answer, History, Kind, standing
from loadtest.ledger_contents import Event, Stored, TableDigest

_SHOWN_MAX = 5


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
        every("payments booked exactly once, and added up", comparison.paid()),
        none("payments and paid orders out of nothing", comparison.strange_payments()),
        every("wrong amounts: a surplus held, the rest still due", comparison.mismatched()),
        every("refunds, failed ones and disputes booked once", comparison.refunded()),
        every("parcels stored once, and completed with the last", comparison.parcels()),
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

    def _joined(self) -> dict[tuple[str, str], Compared]:
        joined = {key: Compared(sent) for key, sent in self._history.orders.items()}
        by_id: dict[object, Compared] = {}
        for stored in self._stored.orders:
            if order := joined.get((stored.channel, stored.order_no)):
                order.rows.append(stored)
                by_id[stored.id] = order
        for table in ("payments", "events", "disputes", "parcels", "parked"):
            for row in getattr(self._stored, table):
                if order := by_id.get(row.order_id):
                    getattr(order, table).append(row)
        for sent in self._true:
            joined[sent.channel, sent.order_no].callbacks.append(sent)
        return joined

    def orders(self) -> Iterable[str]:
        for order in self._orders.values():
            if is_acknowledged(order.sent):
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
        for order in self._certain("payment"):
            yield money_checks.paid_fault(order)

    def _certain(self, *kinds: Kind) -> Iterable[Compared]:
        """Return the acknowledged orders of which a message of these kinds is acknowledged."""
        for order in self._orders.values():
            if is_acknowledged(order.sent) and any(map(is_acknowledged, order.of(*kinds))):
                yield order

    def strange_payments(self) -> Iterable[str]:
        sent = {(each.provider, each.transaction_id) for each in self._true}
        seen = set()
        for payment in self._stored.payments:
            key = payment.provider, payment.transaction_id
            if key not in sent or key in seen:
                yield f"transaction {payment.transaction_id}"
            seen.add(key)
        for order in self._orders.values():
            possible = money_checks.possible_money(order)
            for row in order.rows:
                if row.paid > possible:
                    yield f"{row.order_no}: {row.paid} paid, and {possible} sent"
                if row.status in money_checks.PAID_STATUSES and possible < row.payable:
                    yield f"{row.order_no}: {row.status}, and {possible} of {row.payable} sent"

    def mismatched(self) -> Iterable[str]:
        for order in self._certain("payment"):
            if money_checks.is_wrong(order):
                yield money_checks.wrong_amount_fault(order)

    def refunded(self) -> Iterable[str]:
        for order in self._certain(*money_checks.BACK):
            yield money_checks.refund_fault(order)

    def parcels(self) -> Iterable[str]:
        for order in self._certain("shipped"):
            yield parcel_fault(order)

    def recorded(self) -> Iterable[str]:
        for sent in self._true:
            if is_acknowledged(sent):
                counts = [len(self._events.get((sent.source, key), ())) for key in sent.keys]
                is_right = all(count == 1 for count in counts)
                yield "" if is_right else f"{sent.source} {sent.keys}: recorded {counts} times"

    def strange_events(self) -> Iterable[str]:
        known = {(sent.source, key) for sent in self._true for key in sent.keys}
        for channel, order_no in self._orders:
            # What costs nothing is paid where it is placed.
            placed = f"placed:{channel}"
            known |= {(placed, order_no), (f"nothing-due-{placed}", order_no)}
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
            if is_acknowledged(order.sent):
                count = sum(raw[row.id] for row in order.rows)
                yield "" if count == 1 else f"{order.sent.order_no}: stored {count} times"
        for sent in self._true:
            if is_acknowledged(sent):
                count = sum(raw[event.id] for event in self._events[sent.source, sent.keys[0]])
                yield "" if count == 1 else f"{sent.source} {sent.keys[0]}: stored {count} times"

    def statuses(self) -> Iterable[str]:
        for order in self._orders.values():
            for row in order.rows:
                yield status_fault(row, order.events)

    def strange_parked(self, parking: Collection[str]) -> Iterable[str]:
        expected = {
            row.id
            for order in self._orders.values()
            if money_checks.is_wrong(order) or order.of("refund_failed")
            for row in order.rows
        }
        return [
            f"{row.source} {row.source_key}: {row.reason}"
            for row in self._stored.parked
            if row.order_id not in expected and not row.reason.startswith(tuple(parking))
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
