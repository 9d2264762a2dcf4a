"""Who is asking: API keys, remembered for a moment so that the door costs no query.

A key is believed for ``ttl_s`` after it was looked up; a revoked one stops working then.
While Postgres is away, keys seen before go on working for a while: refusing everybody because
the door can not be asked would turn every small outage into a large one.
"""

import asyncio
from collections import OrderedDict
from functools import partial
from hashlib import sha256
from typing import Protocol

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Unavailable
from gateway.runtime.clock import Clock
from gateway.web.problems import Answered, problem

_REMEMBERED_MAX = 10_000
_STALE_S = 300.0
#: Look-ups at once: guesses at keys must not take the connections that orders need.
_LOOK_UPS_MAX = 2
#: How long a look-up is waited for before the ledger counts as away.
_LOOK_UP_S = 1.0
_WWW = 'WWW-Authenticate: Bearer realm="tidegate"\r\n'


class Keys(Protocol):
    """Where keys are kept."""

    async def find(self, token_digest: bytes) -> Principal | None:
        """The bearer of a live key, or None."""
        ...


class Doorman:
    """Turns an Authorization header into a principal."""

    def __init__(self, *, keys: Keys, clock: Clock, ttl_s: float) -> None:
        self._keys = keys
        self._clock = clock
        self._ttl_s = ttl_s
        self._known: OrderedDict[str, tuple[Principal | None, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Principal | None]] = {}
        self._strangers = asyncio.Semaphore(_LOOK_UPS_MAX)
        self._friends = asyncio.Semaphore(_LOOK_UPS_MAX)

    async def admit(self, authorization: str | None, role: Role) -> Principal:
        """Return the bearer, who has ``role``. Raises ``Answered`` with 401, 403 or 503."""
        if authorization is None:
            detail = "send `Authorization: Bearer <key>`; make one with `tidegate keys create`"
            raise Answered(problem("unauthorised", detail, head=_WWW))
        entry = self._known.get(authorization)
        if entry is not None and entry[1] > self._clock.monotonic_s():
            principal = entry[0]
        else:
            principal = await self._look_up(authorization, entry)
        if principal is None:
            raise Answered(problem("unauthorised", "the key is unknown or revoked", head=_WWW))
        if not principal.may(role):
            raise Answered(problem("forbidden", f"the key lacks the role {role}"))
        return principal

    async def _look_up(
        self, authorization: str, entry: tuple[Principal | None, float] | None
    ) -> Principal | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.startswith("tg_") or len(token) > 128:
            return None
        asking = self._asking.get(authorization)
        if asking is None:
            # Guesses at keys wait for each other, not in front of a key that was good just now.
            is_friend = entry is not None and entry[0] is not None
            lane = self._friends if is_friend else self._strangers
            asking = asyncio.create_task(self._ask(lane, authorization, token), name="api key")
            self._asking[authorization] = asking
            asking.add_done_callback(partial(self._asked, authorization))
        # Waited for from outside: what hangs in the driver does not always heed a cancellation.
        await asyncio.wait({asking}, timeout=_LOOK_UP_S)
        if not asking.done():
            asking.cancel()
        elif not asking.cancelled() and not isinstance(asking.exception(), Unavailable):
            return asking.result()
        if entry is not None and entry[1] + _STALE_S > self._clock.monotonic_s():
            return entry[0]
        raise Unavailable("postgres")

    def _asked(self, authorization: str, asking: asyncio.Task[Principal | None]) -> None:
        del self._asking[authorization]
        if not asking.cancelled():
            # Those who asked may all have left; asyncio must not complain about that.
            asking.exception()

    async def _ask(
        self, lane: asyncio.Semaphore, authorization: str, token: str
    ) -> Principal | None:
        async with lane:
            principal = await self._keys.find(
                sha256(token.encode("utf-8", "surrogateescape")).digest()
            )
        self._known[authorization] = (principal, self._clock.monotonic_s() + self._ttl_s)
        self._known.move_to_end(authorization)
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return principal
