"""Authorisation: roles of API keys, and the principal behind a key."""

from collections.abc import Sequence
from typing import Literal, get_args

from msgspec import Struct

#: What an API key may do.
Role = Literal[
    "ingest",  # submit orders, change their remarks
    "query",  # read orders, private fields masked
    "query_pii",  # read orders, private fields in clear
    "operate",  # overrides and plans of shedding, actions on orders and their approvals
    "admin",  # everything but private fields in clear
]
#: Roles over the whole gateway: there is no sandbox for them, so a key for tests has none of them.
LIVE_ROLES: frozenset[Role] = frozenset({"operate", "admin"})
ROLES: tuple[Role, ...] = get_args(Role)


class Principal(Struct, frozen=True):
    """The bearer of an API key. No channels means every channel.

    ``is_test``: the key of a sandbox, which places and sees test orders only.
    """

    key_id: str
    name: str
    roles: frozenset[Role]
    channels: frozenset[str]
    is_test: bool = False

    def may(self, role: Role) -> bool:
        """Return whether the key has this role, or one that includes it."""
        if role in self.roles:
            return True
        if role == "query":
            return "query_pii" in self.roles or "admin" in self.roles
        return role in ("ingest", "operate") and "admin" in self.roles

    def may_use(self, channel: str) -> bool:
        """Return whether the key may use this channel."""
        return not self.channels or channel in self.channels

    def visible(self) -> Sequence[str] | None:
        """Return the channels to narrow a query to, or None for all."""
        return sorted(self.channels) if self.channels else None

    def visible_is_test(self) -> bool | None:
        """Return the ``is_test`` to narrow a query to, or None for orders of both kinds."""
        return True if self.is_test else None
