"""Senders at a set rate over several gateways, to which a 202 is an acknowledgement."""

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
#: Seconds that the senders may be behind their rate and still catch up.
_BEHIND_MAX_S = 0.5
#: Seconds that an unreachable gateway gets no requests.
_UNREACHABLE_S = 0.3


class Crowd(Sender):
    """Sends each attempt when it is due, to a random gateway; a retry may go to another one.

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
        self._due_s = 0.0
        self._unreachable_until_s: dict[str, float] = {}
        #: When an answer of each status last came, and first came since it was cleared.
        self.last_s: dict[int, float] = {}
        self.first_s: dict[int, float] = {}
        #: 503 without ``Retry-After``, counted by the kind of message.
        self.without_retry_after: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, urls: Sequence[str], *, token: str, rate: float, seed: int
    ) -> AsyncIterator["Crowd"]:
        """Yield a crowd with connections of its own."""
        async with sending.session(_CONNECTIONS) as session:
            yield cls(session, urls=urls, token=token, rate=rate, seed=seed)

    async def send(self, message: Order | Callback) -> Answer:
        """Make one attempt when it is due."""
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._interval_s, now_s - _BEHIND_MAX_S)
        if self._due_s > now_s:
            await asyncio.sleep(self._due_s - now_s)
        url = self._choose()
        # The attempt reads it before its first await, so no other attempt can change it.
        self._url = url
        answer = await super().send(message)
        if answer.status == NOT_CONNECTED:
            self.leave_out(url)
        self.last_s[answer.status] = time.monotonic()
        self.first_s.setdefault(answer.status, time.monotonic())
        return answer

    def leave_out(self, url: str) -> None:
        """Send nothing to this gateway for ``_UNREACHABLE_S``, if there is another."""
        self._unreachable_until_s[url] = time.monotonic() + _UNREACHABLE_S

    def _choose(self) -> str:
        now_s = time.monotonic()
        listening = [url for url in self._urls if self._unreachable_until_s.get(url, 0.0) < now_s]
        return self._rng.choice(listening or self._urls)

    async def _place(self, order: Order) -> Answer:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        if order.request_id:
            headers["Idempotency-Key"] = order.request_id
        async with self._session.post(
            f"{self._url}/v1/orders", data=order.body, headers=headers
        ) as response:
            body = await response.read()
        if response.status == 503 and "Retry-After" not in response.headers:
            self.without_retry_after["order"] += 1
        if response.status not in (200, 201, 202):
            return Answer(response.status)
        return Answer(response.status, is_promise=True, id=orjson.loads(body)["id"], body=body)
