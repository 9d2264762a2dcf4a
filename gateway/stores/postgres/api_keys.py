"""API keys: created and revoked with an audit row each, listed, and looked up by digest.

A token is ``tg_<id>_<secret>``, of a key for tests ``tg_test_<id>_<secret>``. The secret has 256
random bits, so a plain SHA-256 is enough: it cannot be guessed. Only the digest is stored; a lost
token can only be replaced.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

import asyncpg
from msgspec import Struct

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Unavailable
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.statements import sql

_FIND = sql("find_api_key")
#: Seconds for a look-up, the wait for a connection included.
_FIND_S = 2.0
#: Seconds that the primary has alone before the replicas are asked too.
_PRIMARY_S = 0.25


class ApiKey(Struct, frozen=True):
    """A key as an operator sees it; the token itself is shown once, when it is created."""

    id: str
    name: str
    roles: list[str]
    channels: list[str]
    created_at: datetime
    revoked_at: datetime | None
    is_test: bool


def digest(token: str) -> bytes:
    """Return what is stored of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


class ApiKeys:
    """The keys in the ledger. ``replicas`` are only asked while the primary does not answer."""

    def __init__(
        self,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        replicas: "Sequence[asyncpg.Pool[asyncpg.Record]]" = (),
    ) -> None:
        self._pool = pool
        self._replicas = replicas

    async def find(self, token_digest: bytes) -> Principal | None:
        """Return the principal of a live key, or None. Raises ``Unavailable``.

        While the primary is unavailable no key can be revoked, so a replica knows all but the
        last moment before. That it lacks a key proves nothing: it may lag.
        """
        asking = asyncio.create_task(_find(self._pool, token_digest), name="api key on primary")
        try:
            await asyncio.wait({asking}, timeout=_PRIMARY_S if self._replicas else None)
            if asking.done() and not isinstance(asking.exception(), Unavailable):
                return asking.result()
            for replica in self._replicas:
                with contextlib.suppress(Unavailable):
                    if principal := await _find(replica, token_digest):
                        return principal
            return await asking
        finally:
            asking.cancel()
            asking.add_done_callback(_seen)

    async def create(
        self,
        name: str,
        roles: Sequence[Role],
        channels: Sequence[str],
        *,
        actor: str,
        is_test: bool = False,
    ) -> tuple[ApiKey, str]:
        """Create a key and return it with its token, which cannot be shown again.

        ``is_test``: for test orders only; it cannot have a role of ``access.LIVE_ROLES``.
        """
        key_id = secrets.token_hex(4)
        token = f"tg_{'test_' if is_test else ''}{key_id}_{secrets.token_urlsafe(32)}"
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                record = await connection.fetchrow(
                    sql("create_api_key"),
                    key_id,
                    name,
                    digest(token),
                    list(roles),
                    list(channels),
                    is_test,
                )
                detail = (
                    f"{name}: roles {', '.join(roles)}; channels {', '.join(channels) or 'all'}"
                    f"{'; test orders only' if is_test else ''}"
                )
                await audit.append(connection, actor, "api_key.create", key_id, detail)
        assert record is not None, "create_api_key.sql returns the row"
        return ApiKey(*record), token

    async def every(self) -> list[ApiKey]:
        """Return all keys, revoked ones too, oldest first."""
        with errors.translated():
            return [ApiKey(*record) for record in await self._pool.fetch(sql("list_api_keys"))]

    async def revoke(self, key_id: str, *, actor: str) -> bool:
        """End a key. It stops working within ``api_key_ttl_s``. False: no such live key."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                is_done = await connection.fetchval(sql("revoke_api_key"), key_id) is not None
                if is_done:
                    await audit.append(connection, actor, "api_key.revoke", key_id, "")
        return is_done


async def _find(pool: "asyncpg.Pool[asyncpg.Record]", token_digest: bytes) -> Principal | None:
    with errors.translated():
        async with asyncio.timeout(_FIND_S):
            record = await pool.fetchrow(_FIND, token_digest)
    if record is None:
        return None
    return Principal(
        record["id"],
        record["name"],
        frozenset(record["roles"]),
        frozenset(record["channels"]),
        record["is_test"],
    )


def _seen(asking: "asyncio.Task[Principal | None]") -> None:
    # Where a replica answered first, nothing waits for the primary any more.
    if not asking.cancelled():
        asking.exception()
