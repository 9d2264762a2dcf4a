"""What a simulated provider must offer. No I/O, no clock: the time of a message is handed in."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from msgspec import Struct

#: What a message tells. A provider says which of them it knows.
Kind = Literal[
    "placed",  # a shop took an order
    "paid",
    "partial_refund",
    "refund",  # all of it went back
    "closed",  # given up unpaid
    "shipped",
    "delivered",
    "probe",  # a test that must be refused
    "ping",  # a test or a greeting that must be acknowledged
]

#: Ways to forge: signed with a key of the forger's own; the content exchanged after it was signed;
#: not signed at all; a true signature that is too old; a true message of another merchant.
Forgery = Literal["foreign_key", "changed", "unsigned", "stale", "not_ours"]


class Trade(Struct, frozen=True):
    """One order and its payment. ``serial`` (letters and digits) makes every number unique."""

    serial: str
    order_no: str
    amount: Decimal
    #: What a partial refund gives back, the first of it; ``refund`` gives back what is left.
    refunded: Decimal
    currency: str


class Posted(Struct, frozen=True):
    """What goes over the wire."""

    headers: Mapping[str, str]
    body: bytes


class Account(Struct, frozen=True):
    """What both sides hold: the gateway is configured with the secrets and the options."""

    #: The live secrets as the gateway takes them (text or PEM), in order of preference.
    secrets: tuple[str, ...]
    #: The gateway's options for the account.
    options: Mapping[str, object]
    #: What only the provider knows (private keys as PEM, ...): by name, as text.
    private: Mapping[str, str]


class Simulator(Protocol):
    """One provider, seen from its own side, for one account."""

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Make a message of ``KINDS`` sent at ``at``. Another ``attempt`` repeats the first.

        What the provider keeps on a repeat stays the same; what it makes anew is made anew.
        """
        ...

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a message of ``FORGERIES`` that must be refused."""
        ...

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Say whether the provider takes this answer for an acknowledgement, strictly."""
        ...


# Each module ``ops/simulators/<provider>.py`` offers besides:
#
#   KINDS: frozenset[Kind]            what it can tell
#   FORGERIES: frozenset[Forgery]     what makes sense to forge
#   CURRENCIES: tuple[str, ...]       what it is tried with, its usual one first
#   def create() -> Account           a new account with keys of its own
#   def simulator(account: Account) -> Simulator
