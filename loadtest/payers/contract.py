"""What a payer offers: payments, refunds and forgeries of one account at a provider."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from ops.simulators.contract import Forgery, Posted

__all__ = ["Forgery", "Message", "Payer", "Payment", "Posted", "Refund", "Report", "once"]

#: What a payer may report beside payments and refunds.
Report = Literal[
    "refund_failed", "dispute_opened", "dispute_won", "dispute_lost", "shipped", "delivered",
]  # fmt: skip


class Message(NamedTuple):
    """A message. ``sign`` makes the bytes of one attempt, signed again by some providers."""

    #: What identifies it in the history of orders, whichever attempt arrives: usually its id at the
    #: provider. Two where one message reports two events.
    keys: tuple[str, ...]
    #: The provider's number of the payment it is about.
    transaction_id: str
    sign: Callable[[], Posted]


class Payment(NamedTuple):
    """A payment of an order, from which a provider makes its own numbers."""

    #: Letters and digits, unique among the payments of one payer.
    serial: str
    order_no: str
    amount: Decimal
    #: ISO 4217.
    currency: str


class Refund(NamedTuple):
    """A refund of a payment."""

    payment: Payment
    #: Counts the refunds of the payment, from 1.
    number: int
    #: This refund alone.
    amount: Decimal
    #: All refunds of the payment so far, this one included.
    total: Decimal


class Payer(Protocol):
    """An account at a provider, seen from the provider's side."""

    #: The provider's name in the path and in the settings.
    provider: str
    #: The secrets in the settings of the gateway.
    secrets: Sequence[str]
    options: Mapping[str, object]
    #: The ways to forge that make sense here.
    forgeries: Sequence[Forgery]
    #: Whether a refund reports the total so far instead of this refund alone.
    is_cumulative: bool

    def pay(self, payment: Payment) -> Message:
        """Make the message about a payment."""
        ...

    def refund(self, refund: Refund) -> Message:
        """Make the message about a refund."""
        ...

    #: What else it can report of a payment or an order.
    others: frozenset[Report]

    def report(self, kind: Report, payment: Payment, *, back: Decimal) -> Message:
        """Make the message that a refund of ``back`` failed, or about a dispute or a parcel."""
        ...

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """Make a message that must be rejected: nothing was paid."""
        ...

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Return whether the provider takes this answer for an acknowledgement."""
        ...


def once(sign: Callable[[], Posted]) -> Callable[[], Posted]:
    """Sign at the first attempt, and send the same bytes at every other."""
    signed: list[Posted] = []

    def cached() -> Posted:
        if not signed:
            signed.append(sign())
        return signed[0]

    return cached
