"""What was sent and every answer that came back: one side of the comparison in ``verify``.

A message is acknowledged, refused or unknown. Unknown is what no answer came to, and what was
answered 5xx: a batch that ran out of time may have been committed all the same, so the sender
cannot know and the verifier takes either. A 202 is an acknowledgement like any other: it is
for the gateway to bring what it journaled to the ledger.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Literal

import msgspec

Standing = Literal["acknowledged", "refused", "unknown"]

#: The status of an attempt that got no answer: cut off, or not within its time.
NO_ANSWER = 0
#: The status of an order that was journaled. The id that came with it stays good for good, but the
#: ledger may know the order under another.
JOURNALED = 202
#: The status of an attempt that found nobody listening: nothing of it was sent.
NOT_CONNECTED = -1


class Answer(msgspec.Struct, frozen=True):
    """One answer. ``is_promise``: the sender may forget the message now, by its own protocol."""

    status: int
    is_promise: bool = False
    #: The order's id, where the answer gave one.
    id: str = ""
    #: The whole answer: a repeat gets the very same.
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

    #: ``<provider>:<account>``, as the history of the order names it.
    source: str
    #: What its rows in the history are known by; two where one message tells two things.
    keys: Sequence[str]
    kind: Literal["payment", "refund"]
    channel: str
    order_no: str
    transaction_id: str
    amount: Decimal
    currency: str
    #: A refund's amount is all that went back so far, not this refund alone.
    is_cumulative: bool = False
    #: Not signed by who it claims to be from, or too long ago: it must be refused.
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
        """Take an order in before it is first sent."""
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
    """Say what a sender knows of a message after these answers."""
    answers = list(answers)
    if any(answer.is_promise for answer in answers):
        return "acknowledged"
    if answers and all(_is_refusal(answer.status) for answer in answers):
        return "refused"
    return "unknown"


def _is_refusal(status: int) -> bool:
    return status == NOT_CONNECTED or 400 <= status < 500
