"""What the gateway does, and what goes first when there is too much: the one closed list.

The lower its tier, the longer a feature is kept. Tiers 0 and 1 are the core: they are never shed
to keep something lesser alive. Health, readiness and metrics belong to no tier; an operator needs
them most when everything else is dark. What belongs to no feature of its own is ``OTHER``.
"""

from typing import Literal, get_args

from msgspec import Struct

Tier = Literal[0, 1, 2, 3, 4]
TIERS: tuple[Tier, ...] = get_args(Tier)

Name = Literal[
    "callbacks", "order_submission", "order_reads", "order_remarks", "order_lists", "order_export",
    "live_stream", "inventory_check", "other",
]  # fmt: skip


class Feature(Struct, frozen=True):
    """Something that can be refused by itself."""

    name: Name
    tier: Tier

    @property
    def is_core(self) -> bool:
        """Whether orders or payments come in through it."""
        return self.tier <= 1


CALLBACKS = Feature("callbacks", 0)
ORDER_SUBMISSION = Feature("order_submission", 1)
#: One order by its id: what a shop asks for when its own answer got lost.
ORDER_READS = Feature("order_reads", 2)
#: The remark of an order that is there: nothing is lost where it is changed a little later.
ORDER_REMARKS = Feature("order_remarks", 2)
ORDER_LISTS = Feature("order_lists", 3)
#: Whether the goods are there, asked while an order comes in. Dark, the order is taken unchecked.
INVENTORY_CHECK = Feature("inventory_check", 3)
ORDER_EXPORT = Feature("order_export", 4)
LIVE_STREAM = Feature("live_stream", 4)
#: Unknown paths, methods that a path does not take, callbacks of nobody, the API's description:
#: to say what is wrong with a request costs as much as to serve one.
OTHER = Feature("other", 4)

FEATURES: tuple[Feature, ...] = (
    CALLBACKS, ORDER_SUBMISSION, ORDER_READS, ORDER_REMARKS, ORDER_LISTS, INVENTORY_CHECK,
    ORDER_EXPORT, LIVE_STREAM, OTHER,
)  # fmt: skip
