"""Heartbeats of processes in memory, as ``gateway.stores.redis.process_states`` stores them."""

import asyncio

from gateway.domain.errors import Unavailable
from gateway.overload.heartbeats import EXPIRES_S
from gateway.stores.redis.process_states import PeerLoad, Published


class FakeProcessStates:
    """The snapshots by process. ``at_s`` is the server's clock."""

    def __init__(self, *, expires_s: float = EXPIRES_S) -> None:
        self._expires_s = expires_s
        self.at_s = 0.0
        self.is_away = False
        #: Cleared, nothing is answered.
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads = 0
        #: By process, in the order of publication: its back load, when, and its snapshot.
        self.stored: dict[str, tuple[float, float, bytes]] = {}

    async def publish(self, process: str, *, back: float, state: bytes) -> list[PeerLoad]:
        await self._answer()
        self.stored.pop(process, None)
        self.stored[process] = (back, self.at_s, state)
        return [PeerLoad(back, age_s) for name, back, age_s, _ in self._living() if name != process]

    async def published(self) -> list[Published]:
        self.reads += 1
        await self._answer()
        return [Published(state, age_s) for _, _, age_s, state in self._living()]

    async def _answer(self) -> None:
        await self.may_answer.wait()
        if self.is_away:
            raise Unavailable("redis")

    def _living(self) -> list[tuple[str, float, float, bytes]]:
        """Return name, back load, age and snapshot of each, the newest first."""
        found = [
            (name, back, self.at_s - published_s, state)
            for name, (back, published_s, state) in reversed(self.stored.items())
        ]
        return [each for each in found if each[2] <= self._expires_s]
