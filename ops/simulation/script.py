"""Which orders, which messages about them, and in which money."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from gateway.domain import money_text
from ops.failures import Wrong
from ops.simulators.contract import Forgery, Kind, Simulator, Trade
from ops.simulators.registry import Provider
from ops.simulators.sending import Step

#: The currency of the example orders.
_CURRENCY = "CNY"
_AMOUNT_LIMIT = 10**10
#: What is reported of an order unless kinds are named; of a courier, what happens to a parcel.
_ORDER: tuple[Kind, ...] = ("placed", "paid", "partial_refund", "refund")
_PARCEL: tuple[Kind, ...] = ("shipped", "delivered")


def sequence(kinds: Sequence[Kind], provider: Provider) -> list[Kind]:
    """Return the kinds to send, by default an order from its payment to its refund."""
    return list(kinds) or [kind for kind in _ORDER if kind in provider.KINDS] or list(_PARCEL)


def steps(kinds: Sequence[Kind], *, duplicate: int, forged: Forgery | None) -> list[Step]:
    """Return each message as often as it is sent."""
    return [Step(kind, attempt, forged) for kind in kinds for attempt in range(duplicate)]


def money(text: str) -> Decimal:
    """Return an amount. Raises ``Wrong``."""
    try:
        amount = money_text.parse(text)
        is_money = 0 < amount < _AMOUNT_LIMIT
    except ValueError:
        is_money = False
    if not is_money:
        raise Wrong(f"--amount {text!r} is not an amount of money")
    return amount


def usual_currency(provider: Provider, simulator: Simulator, kind: Kind) -> str:
    """Return the currency of the example orders, or else the provider's usual one."""
    trade = Trade("1", "1", Decimal("199.00"), Decimal(1), _CURRENCY)
    try:
        simulator.message(kind, trade, at=datetime.now(UTC))
    except ValueError:
        return provider.CURRENCIES[0]
    return _CURRENCY


def trades(order_no: str | None, amount: Decimal, currency: str, *, count: int) -> list[Trade]:
    """Return the orders; with several a number is appended to ``order_no``."""
    # A part that every currency can express.
    part = Decimal(1) if amount > 1 else amount
    run = secrets.token_hex(4)
    stem = order_no or f"SIM-{run}"
    return [
        Trade(
            serial=f"{run}{n:06d}",
            order_no=order_no if order_no and count == 1 else f"{stem}-{n}",
            amount=amount,
            refunded=part,
            currency=currency,
        )
        for n in range(count)
    ]


def amount_of(kind: Kind, trade: Trade) -> Decimal | None:
    """Return the money that a message is about; None where it is about none."""
    match kind:
        case "placed" | "paid" | "probe":
            return trade.amount
        case "dispute_opened" | "dispute_won" | "dispute_lost":
            return trade.amount
        case "part_paid" | "partial_refund" | "refund_failed":
            return trade.refunded
        case "rest_paid" | "refund":
            return trade.amount - trade.refunded
        case _:
            return None
