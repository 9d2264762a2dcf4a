"""Authentication by API key, and the rate limit of each key.

Keys are cached for a moment, so that a request costs no query.

The result of a look-up is valid for ``ttl_s``; a revoked key stops working then. While Postgres is
unavailable, keys that were in use before go on working for a while: rejecting every client because
keys cannot be looked up would turn a small outage into a large one. Unknown keys stay rejected.
"""

import asyncio
import math
from collections import OrderedDict
from functools import partial
from hashlib import sha256
from typing import Protocol

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Fault, Unavailable
from gateway.overload.rate_limit import RateLimits
from gateway.runtime.clock import Clock
from gateway.web import metrics
from gateway.web.problems import Answered, problem

_CACHED_MAX = 10_000
#: How long an outage may last until keys stop working. A failover by hand takes longer than five
#: minutes: rejecting every key then would end the intake that the journal keeps up. No key can be
#: revoked while Postgres is unavailable, so a longer time admits no revoked key.
_STALE_S = 3600.0
#: How long before the outage a key must have been looked up at the latest. The result for a key
#: that was idle for longer may have been outdated when the outage began.
_IDLE_S = 300.0
#: How long no key is looked up again after the look-up of a valid key failed.
_PAUSE_S = 1.0
#: Concurrent look-ups: guessed keys must not take the connections that orders need.
_LOOK_UPS_MAX = 2
#: How long a look-up may take before Postgres counts as unavailable. A key that was valid just
#: now is accepted without it, so it waits for less.
_UNKNOWN_KEY_S = 1.0
_VALID_KEY_S = 0.3
_WWW = 'WWW-Authenticate: Bearer realm="tidegate"\r\n'


class Keys(Protocol):
    """The store of API keys."""

    async def find(self, token_digest: bytes) -> Principal | None:
        """Return the principal of an active key, or None. Raises ``Unavailable``."""
        ...


class Authenticator:
    """Turns an Authorization header into a principal, and counts its requests."""

    def __init__(self, *, keys: Keys, rate_limits: RateLimits, clock: Clock, ttl_s: float) -> None:
        """``rate_limits``: by key id."""
        self._keys = keys
        self._rate_limits = rate_limits
        self._clock = clock
        self._ttl_s = ttl_s
        self._cache: OrderedDict[str, tuple[Principal | None, float]] = OrderedDict()
        self._look_ups: dict[str, asyncio.Task[Principal | None]] = {}
        self._unknown_lane = asyncio.Semaphore(_LOOK_UPS_MAX)
        self._valid_lane = asyncio.Semaphore(_LOOK_UPS_MAX)
        self._unavailable_since_s: float | None = None
        self._paused_until_s = 0.0

    def cached(self, authorization: str | None, role: Role) -> Principal | None:
        """Return a cached principal that has ``role``, or None. Does not wait."""
        entry = self._cache.get(authorization or "")
        if entry is None or entry[0] is None or entry[1] <= self._clock.monotonic_s():
            return None
        return entry[0] if entry[0].may(role) else None

    async def authenticate(self, authorization: str | None, role: Role) -> Principal:
        """Return the principal, which has ``role``.

        Raises ``Answered`` with 401 or 403, and ``Unavailable``.
        """
        if authorization is None:
            detail = "send `Authorization: Bearer <key>`; create one with `tidegate keys create`"
            faults = [Fault("Authorization", "is missing")]
            raise Answered(problem("unauthorised", detail, faults=faults, head=_WWW))
        entry = self._cache.get(authorization)
        if entry is not None and entry[1] > self._clock.monotonic_s():
            principal = entry[0]
        else:
            principal = await self._look_up(authorization, entry)
        if principal is None:
            detail = "the key is unknown or revoked"
            faults = [Fault("Authorization", "has no key that is in use")]
            raise Answered(problem("unauthorised", detail, faults=faults, head=_WWW))
        if not principal.may(role):
            raise Answered(problem("forbidden", f"the key does not have the role {role}"))
        return principal

    def apply_rate_limit(self, principal: Principal) -> None:
        """Count a request against its key's rate limit. Raises ``Answered`` with 429."""
        wait_s = self._rate_limits.wait_s(principal.key_id, self._clock.monotonic_s())
        if wait_s:
            metrics.RATE_LIMITED.inc()
            head = f"Retry-After: {math.ceil(wait_s)}\r\n"
            detail = "the rate limit of this key is reached"
            raise Answered(problem("quota-exceeded", detail, head=head))

    async def _look_up(
        self, authorization: str, entry: tuple[Principal | None, float] | None
    ) -> Principal | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.startswith("tg_") or len(token) > 128:
            return None
        if entry is not None and self._clock.monotonic_s() < self._paused_until_s:
            return self._stale(entry)
        is_valid = entry is not None and entry[0] is not None
        look_up = self._look_ups.get(authorization)
        if look_up is None:
            # Guessed keys wait for each other, not ahead of a key that was valid just now.
            lane = self._valid_lane if is_valid else self._unknown_lane
            look_up = asyncio.create_task(self._find(lane, authorization, token), name="api key")
            self._look_ups[authorization] = look_up
            look_up.add_done_callback(partial(self._on_done, authorization))
        # Waited for from outside: what hangs in the driver does not always obey a cancellation.
        await asyncio.wait({look_up}, timeout=_VALID_KEY_S if is_valid else _UNKNOWN_KEY_S)
        if not look_up.done():
            # That of a valid key goes on: slow or not, it finds out whether the key was revoked.
            if not is_valid:
                look_up.cancel()
        elif not look_up.cancelled() and not isinstance(look_up.exception(), Unavailable):
            return look_up.result()
        if is_valid:
            # Only these show an outage: guessed keys wait for each other in any case.
            self._note_outage()
        if entry is not None:
            return self._stale(entry)
        raise Unavailable("postgres")

    def _stale(self, entry: tuple[Principal | None, float]) -> Principal | None:
        """Return the result from before the outage. Raises ``Unavailable`` when it is too old."""
        principal, until_s = entry
        now_s = self._clock.monotonic_s()
        since_s = now_s if self._unavailable_since_s is None else self._unavailable_since_s
        if until_s + _IDLE_S > since_s and since_s + _STALE_S > now_s:
            return principal
        raise Unavailable("postgres")

    def _note_outage(self) -> None:
        now_s = self._clock.monotonic_s()
        self._paused_until_s = now_s + _PAUSE_S
        if self._unavailable_since_s is None:
            self._unavailable_since_s = now_s

    def _on_done(self, authorization: str, look_up: asyncio.Task[Principal | None]) -> None:
        del self._look_ups[authorization]
        if not look_up.cancelled():
            # All its callers may have left; asyncio must not warn about that.
            look_up.exception()

    async def _find(
        self, lane: asyncio.Semaphore, authorization: str, token: str
    ) -> Principal | None:
        async with lane:
            principal = await self._keys.find(
                sha256(token.encode("utf-8", "surrogateescape")).digest()
            )
        self._unavailable_since_s, self._paused_until_s = None, 0.0
        self._cache[authorization] = (principal, self._clock.monotonic_s() + self._ttl_s)
        self._cache.move_to_end(authorization)
        if len(self._cache) > _CACHED_MAX:
            self._cache.popitem(last=False)
        return principal
