"""Who is asking: API keys, remembered for a moment so that the door costs no query.

A key is believed for ``ttl_s`` after it was looked up; a revoked one stops working then.
While Postgres is away, keys in use before go on working for a while: refusing everybody because
the door can not be asked would turn every small outage into a large one. What was refused before
stays refused.
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
#: How long an outage may last until keys stop working. A failover by hand takes longer than five
#: minutes: turning every key away then would end the intake that the journal keeps up. Nobody can
#: revoke a key while Postgres is away, so waiting longer lets in nobody new.
_STALE_S = 3600.0
#: How long before the outage a key must have been looked up at the latest. What was heard of one
#: that was idle for longer may no longer have been true when the outage began.
_IDLE_S = 300.0
#: How long the ledger is left alone after a look-up of a good key failed.
_PAUSE_S = 1.0
#: Look-ups at once: guesses at keys must not take the connections that orders need.
_LOOK_UPS_MAX = 2
#: How long a look-up is waited for before the ledger counts as away: by who asks, as one who was
#: good just now is let in without it.
_STRANGER_S = 1.0
_FRIEND_S = 0.3
_WWW = 'WWW-Authenticate: Bearer realm="tidegate"\r\n'


class Keys(Protocol):
    """Where keys are kept."""

    async def find(self, token_digest: bytes) -> Principal | None:
        """The bearer of a live key, or None."""
        ...


class Authenticator:
    """Turns an Authorization header into a principal."""

    def __init__(self, *, keys: Keys, clock: Clock, ttl_s: float) -> None:
        self._keys = keys
        self._clock = clock
        self._ttl_s = ttl_s
        self._known: OrderedDict[str, tuple[Principal | None, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Principal | None]] = {}
        self._strangers = asyncio.Semaphore(_LOOK_UPS_MAX)
        self._friends = asyncio.Semaphore(_LOOK_UPS_MAX)
        self._away_since_s: float | None = None
        self._paused_until_s = 0.0

    def recall(self, authorization: str | None, role: Role) -> Principal | None:
        """Return a bearer of ``role`` who was looked up just now, without waiting, or None."""
        entry = self._known.get(authorization or "")
        if entry is None or entry[0] is None or entry[1] <= self._clock.monotonic_s():
            return None
        return entry[0] if entry[0].may(role) else None

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
        if entry is not None and self._clock.monotonic_s() < self._paused_until_s:
            return self._remembered(entry)
        is_friend = entry is not None and entry[0] is not None
        asking = self._asking.get(authorization)
        if asking is None:
            # Guesses at keys wait for each other, not in front of a key that was good just now.
            lane = self._friends if is_friend else self._strangers
            asking = asyncio.create_task(self._ask(lane, authorization, token), name="api key")
            self._asking[authorization] = asking
            asking.add_done_callback(partial(self._asked, authorization))
        # Waited for from outside: what hangs in the driver does not always heed a cancellation.
        await asyncio.wait({asking}, timeout=_FRIEND_S if is_friend else _STRANGER_S)
        if not asking.done():
            # A friend's look-up goes on: slow or not, it tells when the key was revoked.
            if not is_friend:
                asking.cancel()
        elif not asking.cancelled() and not isinstance(asking.exception(), Unavailable):
            return asking.result()
        if is_friend:
            # Only their word: guesses wait for each other, whether the ledger is away or not.
            self._miss()
        if entry is not None:
            return self._remembered(entry)
        raise Unavailable("postgres")

    def _remembered(self, entry: tuple[Principal | None, float]) -> Principal | None:
        """Return what was known before the outage. Raises ``Unavailable`` when it is too old."""
        principal, until_s = entry
        now_s = self._clock.monotonic_s()
        since_s = now_s if self._away_since_s is None else self._away_since_s
        if until_s + _IDLE_S > since_s and since_s + _STALE_S > now_s:
            return principal
        raise Unavailable("postgres")

    def _miss(self) -> None:
        now_s = self._clock.monotonic_s()
        self._paused_until_s = now_s + _PAUSE_S
        if self._away_since_s is None:
            self._away_since_s = now_s

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
        self._away_since_s, self._paused_until_s = None, 0.0
        self._known[authorization] = (principal, self._clock.monotonic_s() + self._ttl_s)
        self._known.move_to_end(authorization)
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return principal
