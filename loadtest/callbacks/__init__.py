"""Callbacks as the providers send them, signed by the providers' own libraries.

What a gateway verifies is worth only as much as the independence of who signed it, so nothing
here computes a signature by itself. Each account makes its own secret when it is created.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

#: Ways to forge a callback: signed with a key of the forger's own, the content exchanged after
#: it was signed, not signed at all, a true signature of an hour ago.
Forgery = Literal["foreign_key", "changed", "unsigned", "stale"]

#: How old a stale signature is.
STALE = timedelta(hours=1)
#: What a forger had signed before he changed the amount.
CHEAP = Decimal("0.01")
JSON = {"Content-Type": "application/json"}


class Posted(NamedTuple):
    """What goes over the wire."""

    headers: Mapping[str, str]
    body: bytes


class Message(NamedTuple):
    """A message. ``sign`` gives the bytes of one attempt, signed anew where the provider does."""

    #: What tells it from every other in the history of orders, whichever attempt arrives: its
    #: number at the provider, as a rule. Two where one message tells two things.
    keys: tuple[str, ...]
    sign: Callable[[], Posted]


class Payment(NamedTuple):
    """What a provider knows of a payment. ``serial`` makes every number of it unique."""

    serial: str
    order_no: str
    amount: Decimal
    currency: str

    @property
    def transaction_id(self) -> str:
        """The provider's number."""
        return f"tx_{self.serial}"


class Refund(NamedTuple):
    """Money of a payment that went back: this time, and in all so far."""

    payment: Payment
    number: int
    amount: Decimal
    total: Decimal


class Account(Protocol):
    """An account at a provider, seen from the provider's side."""

    #: The provider's name in the path and in the settings.
    provider: str
    #: What the gateway is configured with.
    secret: str
    options: Mapping[str, object]
    #: The ways to forge that make sense here.
    forgeries: tuple[Forgery, ...]
    #: Whether a refund tells all that went back so far.
    is_cumulative: bool

    def pay(self, payment: Payment) -> Message:
        """Tell of a payment."""
        ...

    def refund(self, refund: Refund) -> Message:
        """Tell of a refund."""
        ...

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """Make a message that must be refused; nobody has paid."""
        ...

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Say whether the provider takes this for an acknowledgement and stops sending."""
        ...
