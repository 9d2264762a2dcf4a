"""Approvals: what takes two people, and the word of the second. Pure.

The second person has another name than the first; two keys of one name are one person. Nothing is
done before both have spoken, and what was possible when it was asked for may not be any more.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, get_args
from uuid import UUID

from msgspec import Struct

from gateway.domain import asking, money
from gateway.domain.asking import Action

#: ``approved``: its action is being done; ``failed``: it was not possible any more.
State = Literal["pending", "approved", "applied", "failed", "rejected", "expired"]
STATES: tuple[State, ...] = get_args(State)

#: What one person never does alone, whatever the amount.
ALWAYS: frozenset[Action] = frozenset({"address", "amend", "make-up-payment"})
_LIMIT = re.compile(r"([A-Z]{3}) ([0-9]+(?:\.[0-9]+)?)", re.ASCII)


class Approval(Struct, frozen=True):
    """An action that waits for a second person, or was decided: a row of ``approvals``.

    ``body``: the request; None where it cannot be opened.
    """

    id: UUID
    action: Action
    order_id: UUID
    channel: str
    order_no: str
    is_test: bool
    body: bytes | None
    digest: str
    request_key: str | None
    version: int | None
    reason: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    state: State = "pending"
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None

    def state_at(self, now: datetime) -> State:
        """Return its state: what nobody decided in time is expired."""
        is_over = self.state == "pending" and self.expires_at <= now
        return "expired" if is_over else self.state


@lru_cache(maxsize=8)
def limits(text: str) -> Mapping[str, Decimal]:
    """Return the limits of ``CNY 1000.00, EUR 200``, by currency. Raises ``ValueError``."""
    found: dict[str, Decimal] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        match = _LIMIT.fullmatch(part)
        if match is None or match[1] not in money.DECIMALS or match[1] in found:
            raise ValueError(f"{part!r} is not written CNY 1000.00, once for each currency")
        found[match[1]] = Decimal(match[2])
    return found


def is_needed(
    action: Action, *, amount: Decimal, currency: str, above: Mapping[str, Decimal]
) -> bool:
    """Return whether a second person must approve an action about so much money.

    ``above``: the limits of what one person may release or refund alone. Where a currency has
    none, one person may release whatever amount, as ever, and refund nothing.
    """
    if action in ALWAYS:
        return True
    if action == "refund":
        return amount > above.get(currency, money.ZERO)
    return action == "release" and currency in above and amount > above[currency]


def fault(approval: Approval, *, now: datetime, is_approving: bool) -> str | None:
    """Return why nobody can decide so about an approval now; None where it can be decided.

    What is decided may be decided so again: its answer, or its action, may have been lost.
    """
    state = approval.state_at(now)
    again = ("approved", "applied") if is_approving else ("rejected",)
    return None if state == "pending" or state in again else f"the approval is {state}"


def is_same_person(approval: Approval, actor: str) -> bool:
    """Return whether this is the person who asked for it."""
    return asking.person(approval.requested_by) == asking.person(actor)
