"""What is sent: orders with their payments, and all that goes wrong in a day of a sale.

The shares are exact and the draw depends on the seed only, so that a run can be repeated.
"""

import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from loadtest import orders, sending
from loadtest.callbacks import Account
from loadtest.history import History
from loadtest.sending import Callback, Order
from loadtest.stage import CHANNELS

REPEATED = 0.10
EARLY = 0.05
#: Payments that race their order: each is committed without seeing the other.
RACING = 0.02
MISMATCHED = 0.02
FORGED = 0.01
#: Of the orders paid: a part of it back, all of it back, a part and then the rest.
PARTLY_REFUNDED, REFUNDED, REFUNDED_TWICE = 0.03, 0.02, 0.01

Act = Order | Callback


class Script(msgspec.Struct, kw_only=True):
    """What is sent about one order."""

    #: The acts of a group leave at one instant; the next group waits for their answers.
    groups: list[list[Act]]
    #: Repeats that come when everybody has forgotten.
    later: list[Act] = msgspec.field(default_factory=list)


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


def draw(count: int, accounts: Sequence[Account], *, seed: int) -> Plan:
    """Draw the scripts of ``count`` orders."""
    rng = random.Random(seed)
    history = History()
    # Forged, wrong and refunded exclude each other; what comes early or races may be any.
    fates = rng.sample(range(count), count)
    forged, mismatched = _take(fates, count, FORGED), _take(fates, count, MISMATCHED)
    partly, fully = _take(fates, count, PARTLY_REFUNDED), _take(fates, count, REFUNDED)
    twice = _take(fates, count, REFUNDED_TWICE)
    times = rng.sample(range(count), count)
    early, racing = _take(times, count, EARLY), _take(times, count, RACING)
    scripts = []
    for n in range(count):
        content = orders.order(n, prefix="demo", channel=CHANNELS[n % len(CHANNELS)])
        # Every other storefront sends a request id; the others are known by their order number.
        request_id = f"checkout-{n}" if n % 2 else ""
        order = sending.order(content, history, request_id=request_id)
        account = accounts[n % len(accounts)]
        about: list[Act]
        if n in forged:
            how = account.forgeries[len(history.callbacks) % len(account.forgeries)]
            about = [sending.forgery(order.sent, account, history, how=how)]
        else:
            due = order.sent.payable
            amount = _wrong(due, rng) if n in mismatched else due
            about = [sending.payment(order.sent, account, history, amount=amount)]
            part = (due * Decimal("0.3")).quantize(Decimal("0.01"))
            parts = [due] if n in fully else [part] if n in partly else []
            parts = [part, due - part] if n in twice else parts
            for number, back in enumerate(parts, start=1):
                total = sum(parts[:number], Decimal(0))
                about.append(
                    sending.refund(
                        order.sent, account, history, number=number, amount=back, total=total
                    )
                )
        scripts.append(Script(groups=_in_time(order, about, n in early, n in racing)))
    at_once, later = _repeat(scripts, rng)
    return Plan(
        scripts=scripts,
        history=history,
        drawn={
            "orders": count,
            "callbacks": len(history.callbacks),
            "payments before their order": len(early),
            "payments racing their order": len(racing),
            "wrong amounts": len(mismatched),
            "forged": len(forged),
            "refunds": len(partly) + len(fully) + 2 * len(twice),
            "repeats at the same instant": at_once,
            "repeats later": later,
        },
    )


def _take(drawn: list[int], count: int, share: float) -> set[int]:
    """Take a share of all off the drawn numbers, one at least: a check of nothing proves little."""
    return {drawn.pop() for _ in range(min(len(drawn), max(1, round(count * share))))}


def _wrong(due: Decimal, rng: random.Random) -> Decimal:
    cent = Decimal("0.01")
    return rng.choice([due - cent, due + cent, cent, due * 10])


def _in_time(order: Order, about: list[Act], is_early: bool, is_racing: bool) -> list[list[Act]]:
    if is_racing:
        return [[order, about[0]], *([act] for act in about[1:])]
    acts: list[Act] = [*about, order] if is_early else [order, *about]
    return [[act] for act in acts]


def _repeat(scripts: Sequence[Script], rng: random.Random) -> tuple[int, int]:
    """Send a tenth of everything twice: half of it at the same instant, the rest later."""
    every = [(script, group, act) for script in scripts for group in script.groups for act in group]
    chosen = rng.sample(every, round(len(every) * REPEATED))
    half = len(chosen) // 2
    for _, group, act in chosen[:half]:
        group.append(act)
    for script, _, act in chosen[half:]:
        script.later.append(act)
    return half, len(chosen) - half
