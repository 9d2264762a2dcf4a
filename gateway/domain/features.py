"""Features: what the gateway does, by tier, in the order in which load sheds it; a closed list.

The higher its tier, the sooner a feature is shed. Tiers 0 and 1 are the core: they are never shed
to keep another feature alive. Health, readiness and metrics belong to no tier; an operator needs
them most when everything else is shed. Requests of no feature of their own are ``OTHER``.
"""

from typing import Literal, get_args

from msgspec import Struct

Tier = Literal[0, 1, 2, 3, 4]
TIERS: tuple[Tier, ...] = get_args(Tier)

Name = Literal[
    "callbacks", "order_submission", "order_reads", "order_remarks", "order_actions", "order_lists",
    "order_export", "live_stream", "inventory_check", "other",
]  # fmt: skip


class Feature(Struct, frozen=True):
    """A function of the gateway that is shed as a whole."""

    name: Name
    tier: Tier

    @property
    def is_core(self) -> bool:
        """Whether it takes in orders or payments."""
        return self.tier <= 1


CALLBACKS = Feature("callbacks", 0)
ORDER_SUBMISSION = Feature("order_submission", 1)
#: One order by its id: what a shop reads when the answer to its submission was lost.
ORDER_READS = Feature("order_reads", 2)
#: The remark of a stored order: nothing is lost where it is changed a little later.
ORDER_REMARKS = Feature("order_remarks", 2)
#: What a person decides about an order: it is asked for again where it was refused.
ORDER_ACTIONS = Feature("order_actions", 2)
ORDER_LISTS = Feature("order_lists", 3)
#: Whether the goods are in stock, checked on submission. While shed, orders are taken unchecked.
INVENTORY_CHECK = Feature("inventory_check", 3)
ORDER_EXPORT = Feature("order_export", 4)
LIVE_STREAM = Feature("live_stream", 4)
#: Unknown paths, methods that a path does not take, callbacks of unknown accounts, the API's
#: description: to explain what is wrong with a request costs as much as to serve one.
OTHER = Feature("other", 4)

FEATURES: tuple[Feature, ...] = (
    CALLBACKS, ORDER_SUBMISSION, ORDER_READS, ORDER_REMARKS, ORDER_ACTIONS, ORDER_LISTS,
    INVENTORY_CHECK, ORDER_EXPORT, LIVE_STREAM, OTHER,
)  # fmt: skip
