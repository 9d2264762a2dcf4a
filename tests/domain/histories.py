"""Histories that nobody thought of: all that may be told of an order, mixed at random.

Each is made of a ``random.Random``: the same seed makes the same history, for the pure fold and
for the real ledger.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from gateway.domain import events
from gateway.domain.orders import Amounts
from tests.domain.support import NOW

#: What the payments of an order over 100.00 may be.
_PARTS = ((100,), (60, 40), (50, 50), (60, 60), (100, 100), (30, 30, 40), (0,), (40,))


def told_of(random: Random, order_no: str = "W-1") -> list[events.Event]:
    """Return what is told of one order, in the order in which it was made up."""
    told: list[events.Event] = []
    for n, amount in enumerate(random.choice(_PARTS)):
        paid, numbers = _payment(random, order_no, f"{order_no}/{n}", Decimal(amount))
        told += paid
        for _ in range(random.choice((0, 0, 1, 2))):
            told += _money_back(random, order_no, random.choice(numbers), Decimal(amount))
    moves = _moves(random, order_no)
    told += random.sample(moves, random.randint(0, 6))
    return told


def batches(
    random: Random, told: Sequence[events.Event], repeats: int = 2
) -> Iterator[list[events.Event] | None]:
    """Yield the events shuffled and parted into batches; None: the order is placed here."""
    arriving: list[events.Event | None] = [*told, *random.choices(told, k=repeats), None]
    random.shuffle(arriving)
    batch: list[events.Event] = []
    for event in arriving:
        if event is not None:
            batch.append(event)
        if batch and (event is None or random.random() < 0.6):
            yield batch
            batch = []
        if event is None:
            yield None
    if batch:
        yield batch


def _at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def _payment(
    random: Random, order_no: str, own: str, amount: Decimal
) -> tuple[list[events.Event], list[str]]:
    """Return the messages about one payment, and the numbers it may be called by."""
    a, b, c = (f"{own}{letter}" for letter in "abc")
    at = _at(random.randint(1, 20))

    def told(number: str, names: Sequence[str] = (), *, is_provisional: bool = False) -> None:
        # Some messages name no order, but the first always does.
        named = order_no if not messages or random.random() < 0.5 else ""
        messages.append(
            events.PaymentSucceeded(
                number, named, amount, "CNY", at, tuple(names), is_provisional
            )
        )  # fmt: skip

    messages: list[events.Event] = []
    match random.choice(("plain", "plain", "chain", "joined", "provisional")):
        case "plain":
            told(own)
            return messages, [own]
        case "chain":
            # Each message knows the next number only.
            for number, next_one in ((own, a), (a, b), (b, c)):
                told(number, [next_one])
            return messages, [own, a, b, c]
        case "joined":
            # Two numbers that only a third message says are one payment.
            told(own)
            messages.append(events.PaymentSucceeded(a, "", amount, "CNY", at))
            names = random.sample([own, a], 2)
            messages.append(events.PaymentSucceeded(b, "", amount, "CNY", at, tuple(names)))
            return messages, [own, a, b]
        case _:
            told(a, [b], is_provisional=True)
            messages.append(
                events.PaymentSucceeded(
                    own, order_no, amount, "CNY", at, random.choice(((), (b,)))
                )
            )  # fmt: skip
            return messages, [own]


def _money_back(
    random: Random, order_no: str, number: str, paid: Decimal
) -> list[events.Event]:  # fmt: skip
    named, minute = random.choice((order_no, "", "")), random.randint(2, 50)
    amount = random.choice((Decimal(10), Decimal(20), paid, paid)) if paid else Decimal(0)
    refund_no, is_total = f"R{random.randint(1, 2)}", random.random() < 0.5
    refund = events.RefundSucceeded(
        number, named, refund_no, amount, is_total, "CNY", _at(minute)
    )  # fmt: skip
    failed = events.RefundFailed(
        number, named, refund_no, amount, is_total, "CNY", _at(minute + 3)
    )  # fmt: skip
    opened = events.Dispute(
        number, named, "D1", amount, "CNY", "opened", "fraud", _at(minute)
    )  # fmt: skip
    ended = events.Dispute(
        number, named, "D1", amount, "CNY", random.choice(("won", "lost")), "fraud", _at(minute + 5)
    )  # fmt: skip
    return list(random.choice(((refund,), (refund, failed), (opened,), (opened, ended))))


def _moves(random: Random, order_no: str) -> list[events.Event]:
    minutes = random.sample(range(1, 60), 22)
    at = [_at(minute) for minute in minutes]
    first, second = f"{order_no}-SF", f"{order_no}-YT"
    amended = Amounts(goods=Decimal(90), payable=Decimal(90))
    return [
        events.Closed(order_no, "timed_out", at[0]),
        events.Closed(order_no, "cancelled", at[1]),
        events.Shipped(order_no, "SF", first, at[2], random.choice(("", "p1"))),
        events.Shipped(order_no, "YT", second, at[3], random.choice(("", "p2"))),
        events.Shipped(order_no, "", "", at[4]),
        events.Delivered(order_no, at[5]),
        events.Delivered(order_no, at[6], first),
        events.Delivered("", at[7], first),
        events.PaysOnDelivery(order_no, at[8]),
        events.Amended(order_no, "CNY", amended, (), "00", at[9]),
        events.Released(order_no, "looked at", at[10]),
        events.Closed(order_no, "timed_out", at[11], only_unpaid=True),
        events.HeldByPerson(order_no, "to be looked at", at[12]),
        events.HeldByPerson(order_no, "once more", at[13]),
        events.Released(order_no, "looked at again", at[14]),
        events.Reopened(order_no, "they want it", at[15]),
        events.ParcelCancelled(order_no, first, "did not leave", at[16]),
        events.Shipped(order_no, "SF", first, at[17], random.choice(("", "p1"))),
        events.ParcelCancelled(order_no, second, "came back", at[18]),
        events.Accepted(order_no, "wms", random.choice(("", "WMS-1")), at[19]),
        events.Accepted(order_no, "wms", "WMS-2", at[20]),
        events.Accepted(order_no, "erp", "", at[21]),
    ]
