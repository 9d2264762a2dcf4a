"""What is sent: orders with their payments, and the irregularities of a day of sales.

The shares are exact and the draw depends on the seed only, so that a run can be repeated.
"""

import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from loadtest import sending
from loadtest.demo import shapes
from loadtest.deployment import CHANNELS
from loadtest.history import History, OrderSent
from loadtest.payers.contract import Forgery, Payer, Report
from loadtest.sending import Callback, Order

REPEATED = 0.10
EARLY = 0.05
#: Payments that race their order: each is committed without seeing the other.
RACING = 0.02
MISMATCHED = 0.02
FORGED = 0.01
#: Of the orders paid: a part of it back, all of it back, a part and then the rest; a part that did
#: not reach the buyer after all.
PARTLY_REFUNDED, REFUNDED, REFUNDED_TWICE, REFUND_FAILED = 0.03, 0.02, 0.01, 0.01
#: Two payments for one order; disputes that stay open, are won, and are lost.
SPLIT = 0.03
DISPUTED, DISPUTE_WON, DISPUTE_LOST = 0.01, 0.005, 0.005
#: Orders that leave in two parcels.
PARCELS = 0.02

_CENT = Decimal("0.01")

OrderOrCallback = Order | Callback


class Script(msgspec.Struct, kw_only=True):
    """The messages about one order."""

    #: The messages of a group leave at one instant; the next group waits for their answers.
    groups: list[list[OrderOrCallback]]
    #: Repeats that are sent much later.
    later: list[OrderOrCallback] = msgspec.field(default_factory=list)


class Plan(msgspec.Struct, kw_only=True):
    """Everything that will be sent."""

    scripts: list[Script]
    history: History
    #: How many of each kind, for the reader of the report.
    drawn: dict[str, int]

    @property
    def attempts(self) -> int:
        """How many messages leave, repeats included."""
        return sum(sum(map(len, script.groups)) + len(script.later) for script in self.scripts)


def draw(count: int, payers: Sequence[Payer], *, seed: int) -> Plan:
    """Draw the scripts of ``count`` orders."""
    rng = random.Random(seed)
    fates = _Fates(count, payers, rng)
    history = History()
    scripts = []
    for n in range(count):
        content = shapes.mixed(n, prefix="demo", channel=CHANNELS[n % len(CHANNELS)])
        # Every other storefront sends a request id; the others are known by their order number.
        order = sending.order(content, history, request_id=f"checkout-{n}" if n % 2 else "")
        about = _about(n, order.sent, payers[n % len(payers)], fates, history)
        scripts.append(Script(groups=_in_time(order, about, fates, n)))
    at_once, later = _repeat(scripts, rng)
    drawn = {"orders": count, "callbacks": len(history.callbacks), **fates.counts()}
    drawn |= {"repeats at the same instant": at_once, "repeats later": later}
    return Plan(scripts=scripts, history=history, drawn=drawn)


class _Fates:
    """The numbers of the orders with each irregularity."""

    def __init__(self, count: int, payers: Sequence[Payer], rng: random.Random) -> None:
        self.rng = rng

        def take(share: float, *kinds: Report) -> set[int]:
            """Take a share of all from what is left, among the orders whose payer reports that."""
            able = [n for n in left if payers[n % len(payers)].others.issuperset(kinds)]
            taken = _take(able, count, share)
            left[:] = [n for n in left if n not in taken]
            return taken

        # Forged, wrong and refunded exclude each other; any order may be early or race.
        left = rng.sample(range(count), count)
        self.forged, self.mismatched = _take(left, count, FORGED), _take(left, count, MISMATCHED)
        self.partly, self.fully = _take(left, count, PARTLY_REFUNDED), _take(left, count, REFUNDED)
        self.twice = _take(left, count, REFUNDED_TWICE)
        self.failed = take(REFUND_FAILED, "refund_failed")
        self.disputed = take(DISPUTED, "dispute_opened")
        self.won = take(DISPUTE_WON, "dispute_opened", "dispute_won")
        self.lost = take(DISPUTE_LOST, "dispute_opened", "dispute_lost")
        self.parcels = take(PARCELS, "shipped", "delivered")
        self.split = _take(left, count, SPLIT)
        left = rng.sample(range(count), count)
        self.early, self.racing = _take(left, count, EARLY), _take(left, count, RACING)
        self._forgeries = 0

    def next_forgery(self, payer: Payer) -> Forgery:
        """Return the forgeries of the payer in turn."""
        self._forgeries += 1
        return payer.forgeries[self._forgeries % len(payer.forgeries)]

    def refunds(self, n: int, due: Decimal) -> list[Decimal]:
        """The amounts of the refunds of order ``n``, one after the other."""
        part = part_of(due)
        if n in self.twice:
            return [part, due - part]
        return [due] if n in self.fully else [part] if n in self.partly | self.failed else []

    def counts(self) -> dict[str, int]:
        """How many of each, for the reader of the report."""
        return {
            "payments before their order": len(self.early),
            "payments racing their order": len(self.racing),
            "wrong amounts": len(self.mismatched),
            "forged": len(self.forged),
            "refunds": len(self.partly | self.fully | self.failed) + 2 * len(self.twice),
            "refunds that failed": len(self.failed),
            "paid in two parts": len(self.split),
            "disputed": len(self.disputed | self.won | self.lost),
            "sent in two parcels": len(self.parcels),
        }


def _about(
    n: int, order: OrderSent, payer: Payer, fates: _Fates, history: History
) -> list[OrderOrCallback]:
    """Draw the callbacks about an order: its payment, genuine or forged, and its refunds."""
    if n in fates.forged:
        return [sending.forgery(order, payer, history, how=fates.next_forgery(payer))]
    due = order.payable
    if not due:
        return []
    if n in fates.split:
        first = part_of(due)
        return [
            sending.payment(order, payer, history, amount=first, part="a"),
            sending.payment(order, payer, history, amount=due - first, part="b"),
        ]
    amount = _wrong(due, fates.rng) if n in fates.mismatched else due
    about: list[OrderOrCallback] = [sending.payment(order, payer, history, amount=amount)]
    total = Decimal(0)
    for number, back in enumerate(fates.refunds(n, due), start=1):
        total += back
        about.append(sending.refund(order, payer, history, number=number, amount=back, total=total))
    about += [
        sending.report(kind, order, payer, history, back=total, parcel=parcel)
        for kind, parcel in _further(n, fates)
    ]
    return about


def _further(n: int, fates: _Fates) -> list[tuple[Report, str]]:
    """Return what else is reported of an order, and of which parcel."""
    if n in fates.parcels:
        leaving: list[tuple[Report, str]] = [("shipped", ""), ("shipped", "p2")]
        # Of every other order the second parcel is still on its way.
        arrived: list[tuple[Report, str]] = [("delivered", ""), ("delivered", "p2")]
        return [*leaving, *arrived[: 1 + n // 3 % 2]]
    kinds: dict[Report, bool] = {
        "refund_failed": n in fates.failed,
        "dispute_opened": n in fates.disputed | fates.won | fates.lost,
        "dispute_won": n in fates.won,
        "dispute_lost": n in fates.lost,
    }
    return [(kind, "") for kind, is_so in kinds.items() if is_so]


def part_of(due: Decimal) -> Decimal:
    """Return a part of what is due: of a refund, and the first of two payments."""
    return (due * Decimal("0.3")).quantize(_CENT)


def _take(drawn: list[int], count: int, share: float) -> set[int]:
    """Remove a share of all from the drawn numbers, at least one, or a check would be empty."""
    return {drawn.pop() for _ in range(min(len(drawn), max(1, round(count * share))))}


def _wrong(due: Decimal, rng: random.Random) -> Decimal:
    return rng.choice([due - _CENT, due + _CENT, _CENT, due * 10])


def _in_time(
    order: Order, about: list[OrderOrCallback], fates: _Fates, n: int
) -> list[list[OrderOrCallback]]:
    if n in fates.racing and about:
        return [[order, about[0]], *([message] for message in about[1:])]
    messages: list[OrderOrCallback] = [*about, order] if n in fates.early else [order, *about]
    return [[message] for message in messages]


def _repeat(scripts: Sequence[Script], rng: random.Random) -> tuple[int, int]:
    """Send a tenth of everything twice: half of it at the same instant, the rest later."""
    every = [
        (script, group, message)
        for script in scripts
        for group in script.groups
        for message in group
    ]
    chosen = rng.sample(every, round(len(every) * REPEATED))
    half = len(chosen) // 2
    for _, group, message in chosen[:half]:
        group.append(message)
    for script, _, message in chosen[half:]:
        script.later.append(message)
    return half, len(chosen) - half
