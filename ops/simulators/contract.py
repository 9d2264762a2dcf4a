"""The interface of a simulated provider. No I/O, no clock: callers pass the time of a message."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from msgspec import Struct

#: The kind of a message. Each provider lists the kinds it supports.
Kind = Literal[
    "placed",  # an order was placed at a shop
    "paid",
    "part_paid",  # a part of the order was paid, by a payment of its own
    "rest_paid",  # the rest of it was paid, by another payment
    "partial_refund",
    "refund_failed",  # the partial refund did not reach the buyer after all
    "refund",  # the rest was refunded
    "dispute_opened",  # the buyer disputes the whole payment
    "dispute_won",  # ... and the money stays with the merchant
    "dispute_lost",  # ... and it went back
    "closed",  # cancelled or timed out, unpaid
    "accepted",  # the warehouse has the order
    "shipped",
    "delivered",
    "probe",  # a test that must be rejected
    "ping",  # a test or a greeting that must be acknowledged
]

#: Ways to forge: signed with the forger's own key; content changed after signing; not signed;
#: a valid signature that is too old; a genuine message of another merchant.
Forgery = Literal["foreign_key", "changed", "unsigned", "stale", "not_ours"]


class Trade(Struct, frozen=True):
    """One order and its payment. ``serial`` (letters and digits) makes every number unique."""

    serial: str
    order_no: str
    amount: Decimal
    #: Amount of the first, partial refund; ``refund`` returns the rest. Of ``part_paid`` as well.
    refunded: Decimal
    currency: str


class Posted(Struct, frozen=True):
    """A request as sent: headers and body."""

    headers: Mapping[str, str]
    body: bytes


class Account(Struct, frozen=True):
    """A simulated account: its secrets and options configure the gateway."""

    #: The active secrets as the gateway accepts them (text or PEM), in order of preference.
    secrets: tuple[str, ...]
    #: The gateway's options for the account.
    options: Mapping[str, object]
    #: Values that only the provider knows (private keys as PEM, ...), by name.
    private: Mapping[str, str]


class Simulator(Protocol):
    """One simulated provider, for one account."""

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Build a message of ``KINDS`` sent at ``at``. Another ``attempt`` repeats the first.

        On a repeat the same fields stay or change as with the real provider.
        """
        ...

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Build a forgery of ``FORGERIES`` that must be rejected."""
        ...

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Return whether the provider treats this response as an acknowledgement, strictly."""
        ...


# Each module ``ops/simulators/<provider>.py`` also defines:
#
#   KINDS: frozenset[Kind]            the kinds it supports
#   FORGERIES: frozenset[Forgery]     the forgeries it supports
#   CURRENCIES: tuple[str, ...]       currencies to test with, the usual one first
#   def create() -> Account           a new account with its own keys
#   def simulator(account: Account) -> Simulator
#   def transaction_no(trade: Trade) -> str     what the gateway books a payment under
