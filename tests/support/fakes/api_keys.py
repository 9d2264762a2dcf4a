"""API keys in memory, as ``gateway.stores.postgres.api_keys`` finds them."""

import asyncio
from dataclasses import dataclass, field

from gateway.domain.access import Principal
from gateway.domain.errors import Unavailable
from gateway.stores.postgres.api_keys import digest


@dataclass
class FakeApiKeys:
    """Keys by digest; counts the look-ups."""

    known: dict[bytes, Principal] = field(default_factory=dict)
    is_away: bool = False
    #: Cleared, no look-up is answered.
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    look_ups: int = 0
    at_once: int = 0
    at_once_max: int = 0

    def __post_init__(self) -> None:
        self.may_answer.set()

    def put(self, token: str, principal: Principal) -> None:
        """Store a live key."""
        self.known[digest(token)] = principal

    async def find(self, token_digest: bytes) -> Principal | None:
        self.look_ups += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await asyncio.sleep(0)
            await self.may_answer.wait()
        finally:
            self.at_once -= 1
        if self.is_away:
            raise Unavailable("postgres")
        return self.known.get(token_digest)
