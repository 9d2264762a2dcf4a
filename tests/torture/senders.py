"""Senders at a set rate, spread over several gateways, that know what a 202 is worth."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import orjson

from loadtest import sending
from loadtest.history import NOT_CONNECTED, Answer
from loadtest.sending import Callback, Order, Sender

_CONNECTIONS = 256
#: Seconds that the rate may be behind and still be caught up with.
_BEHIND_MAX_S = 0.5
#: Seconds that a gateway is left out after it was not there.
_AWAY_S = 0.3


class Crowd(Sender):
    """Sends to a gateway at random, each attempt at its turn; a retry may go to another one.

    A 202 with an id is a promise like any other.
    """

    def __init__(
        self, session: aiohttp.ClientSession, *, urls: Sequence[str], token: str, rate: float,
        seed: int,
    ) -> None:  # fmt: skip
        super().__init__(session, token=token)
        self._urls = urls
        self._rng = random.Random(seed)
        self._interval_s = 1.0 / rate
        self._turn_s = 0.0
        self._away_until_s: dict[str, float] = {}
        #: When an answer of each status last came, and first came since it was cleared.
        self.last_s: dict[int, float] = {}
        self.first_s: dict[int, float] = {}
        #: 503 that did not say when to come back, by what they were an answer to.
        self.dishonest: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, urls: Sequence[str], *, token: str, rate: float, seed: int
    ) -> AsyncIterator["Crowd"]:
        """Lend a crowd with connections of its own."""
        async with sending.session(_CONNECTIONS) as session:
            yield cls(session, urls=urls, token=token, rate=rate, seed=seed)

    async def send(self, what: Order | Callback) -> Answer:
        """Make one attempt when it is due."""
        now_s = time.monotonic()
        self._turn_s = max(self._turn_s + self._interval_s, now_s - _BEHIND_MAX_S)
        if self._turn_s > now_s:
            await asyncio.sleep(self._turn_s - now_s)
        url = self._choose()
        # Read at once by the attempt, before anyone else has a turn.
        self._url = url
        answer = await super().send(what)
        if answer.status == NOT_CONNECTED:
            self.leave_out(url)
        self.last_s[answer.status] = time.monotonic()
        self.first_s.setdefault(answer.status, time.monotonic())
        return answer

    def leave_out(self, url: str) -> None:
        """Send nothing there for a while, if there is anywhere else."""
        self._away_until_s[url] = time.monotonic() + _AWAY_S

    def _choose(self) -> str:
        now_s = time.monotonic()
        listening = [url for url in self._urls if self._away_until_s.get(url, 0.0) < now_s]
        return self._rng.choice(listening or self._urls)

    async def _place(self, what: Order) -> Answer:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        if what.request_id:
            headers["Idempotency-Key"] = what.request_id
        async with self._session.post(
            f"{self._url}/v1/orders", data=what.body, headers=headers
        ) as said:
            body = await said.read()
        if said.status == 503 and "Retry-After" not in said.headers:
            self.dishonest["order"] += 1
        if said.status not in (200, 201, 202):
            return Answer(said.status)
        return Answer(said.status, is_promise=True, id=orjson.loads(body)["id"], body=body)
