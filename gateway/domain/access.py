"""Authorisation: roles of API keys, and the principal behind a key."""

from collections.abc import Sequence
from typing import Literal, get_args

from msgspec import Struct

#: What an API key may do.
Role = Literal[
    "ingest",  # submit orders, change their remarks
    "query",  # read orders, private fields masked
    "query_pii",  # read orders, private fields in clear
    "operate",  # overrides and plans of shedding
    "admin",  # everything but private fields in clear
]
ROLES: tuple[Role, ...] = get_args(Role)


class Principal(Struct, frozen=True):
    """The bearer of an API key. No channels means every channel."""

    key_id: str
    name: str
    roles: frozenset[Role]
    channels: frozenset[str]

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
