"""What was sent and every answer that came back: one side of the comparison in ``verify``.

A message is acknowledged, refused or unknown. It is unknown without an answer, and after a 5xx:
a batch that timed out may have been committed all the same, so the sender cannot know and the
verifier accepts either. A 202 is an acknowledgement like any other: the gateway must flush what it
journaled to the ledger.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Literal

import msgspec

Standing = Literal["acknowledged", "refused", "unknown"]

#: What a callback is about.
Kind = Literal[
    "payment", "refund", "refund_failed", "dispute_opened", "dispute_won", "dispute_lost",
    "shipped", "delivered",
]  # fmt: skip

#: The status of an attempt without an answer: the connection ended, or the attempt timed out.
NO_ANSWER = 0
#: The status of an order that was journaled. The id in the answer stays valid for good, but the
#: ledger may store the order under another, with an alias.
JOURNALED = 202
#: The status of an attempt that could not connect: nothing was sent.
NOT_CONNECTED = -1


class Answer(msgspec.Struct, frozen=True):
    """One answer. ``is_promise``: by its protocol the sender need not send the message again."""

    status: int
    is_promise: bool = False
    #: The order's id; empty when the answer has none.
    id: str = ""
    #: The whole body: a repeat gets the same bytes.
    body: bytes = b""


class OrderSent(msgspec.Struct, kw_only=True):
    """An order, and the answers to all its attempts."""

    channel: str
    order_no: str
    currency: str
    payable: Decimal
    answers: list[Answer] = msgspec.field(default_factory=list)


class CallbackSent(msgspec.Struct, kw_only=True):
    """A callback about an order, and the answers to all its attempts."""

    #: ``<provider>:<account>``, as in the history of the order.
    source: str
    #: The keys of its rows in the history; two where one message reports two events.
    keys: Sequence[str]
    kind: Kind
    channel: str
    order_no: str
    transaction_id: str
    amount: Decimal
    currency: str
    #: The amount is the total of all refunds so far, not this refund alone.
    is_cumulative: bool = False
    #: Its signature is not the provider's, or too old: it must be rejected.
    is_forged: bool = False
    answers: list[Answer] = msgspec.field(default_factory=list)

    @property
    def provider(self) -> str:
        """The provider without the account."""
        return self.source.partition(":")[0]


class History(msgspec.Struct):
    """Everything that was sent."""

    orders: dict[tuple[str, str], OrderSent] = msgspec.field(default_factory=dict)
    callbacks: list[CallbackSent] = msgspec.field(default_factory=list)

    def add_order(self, order: OrderSent) -> None:
        """Add an order, before it is first sent."""
        self.orders[order.channel, order.order_no] = order

    def statuses(self) -> dict[int, int]:
        """Count the answers by status."""
        counts: dict[int, int] = {}
        answers = [order.answers for order in self.orders.values()]
        answers += [callback.answers for callback in self.callbacks]
        for answer in chain.from_iterable(answers):
            counts[answer.status] = counts.get(answer.status, 0) + 1
        return dict(sorted(counts.items()))


def standing(answers: Iterable[Answer]) -> Standing:
    """Return what a sender knows of a message after these answers."""
    answers = list(answers)
    if any(answer.is_promise for answer in answers):
        return "acknowledged"
    if answers and all(_is_refusal(answer.status) for answer in answers):
        return "refused"
    return "unknown"


def _is_refusal(status: int) -> bool:
    return status == NOT_CONNECTED or 400 <= status < 500
