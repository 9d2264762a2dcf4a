"""What may differ from sales channel to sales channel: the rules that its orders follow.

A channel is configured with these; a reload replaces them while orders arrive. Whoever decides
about an order reads them once.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from msgspec import Struct

#: What a channel does with a look-alike that is no double click: stores and holds it, answers it
#: with the first order and makes its number an alias, or stores it like any other.
LookalikePolicy = Literal["hold", "replay", "off"]
#: Whether several payments of one order add up, or one payment must cover it.
PartsPolicy = Literal["accept", "single"]
#: Whether an order must say to whom and where it goes.
RecipientPolicy = Literal["required", "optional"]
#: Who takes the buyer's money: a provider that reports it here, or the sales platform, before it
#: hands the order over.
PaidBy = Literal["provider", "platform"]


class ChannelPolicy(Struct, frozen=True):
    """The rules of one channel.

    ``lookalike_window_s``: how long a second order like the first, without a request id, counts
    as a double click: its number becomes an alias of the first.
    ``unpaid_timeout_s``: after how long an order that is wholly unpaid is closed; 0: never.
    """

    lookalike: LookalikePolicy = "hold"
    lookalike_window_s: int = 10
    parts: PartsPolicy = "accept"
    recipient: RecipientPolicy = "required"
    paid_by: PaidBy = "provider"
    unpaid_timeout_s: int = 0


#: The rules of every configured channel by its name.
Policies = Mapping[str, ChannelPolicy]


class Current(Protocol):
    """Where the rules stand that hold now: a reload replaces them."""

    now: Policies


_DEFAULT = ChannelPolicy()


def takes_parts(policies: Current) -> Callable[[str], bool]:
    """Return a function that says whether several payments of a channel's order add up, now.

    A channel that is not configured any more has orders still: they follow the default.
    """
    return lambda channel: policies.now.get(channel, _DEFAULT).parts == "accept"
