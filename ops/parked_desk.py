"""The desk for parked rows of a command: over the database alone, without a running gateway."""

import functools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway import wiring
from gateway.intake import channel_policies
from gateway.runtime import settings_source
from gateway.runtime.clock import SystemClock
from gateway.runtime.ids import UUIDv7
from gateway.runtime.live import Live
from gateway.stores.postgres import key_ring
from gateway.web import accounts
from gateway.web.wiring import ParkedDesk, parked_desk
from ops import connections

T = TypeVar("T")


async def use(work: Callable[[ParkedDesk], Awaitable[T]], *, needs_accounts: bool) -> T:
    """Do some work at the desk, and return its result once all that it accepted is committed.

    Its intake is that of a drainer: without a journal and without a cache. ``needs_accounts``:
    messages are decoded, for which the accounts and their secrets are read. Raises
    ``SettingsError`` and ``WrongKeyRing`` for those, and ``Unavailable``.
    """
    loaded = settings_source.load()
    configured = Live(accounts.build(loaded, before={}) if needs_accounts else {})
    ring = key_ring.load(loaded.keyring_file)
    check = functools.partial(key_ring.check_strictly, ring)
    clock, new_id = SystemClock(), UUIDv7()
    async with connections.primary(loaded, on_connect=check) as pool:
        through = wiring.replaying(
            pool=pool,
            sealer=ring.sealer,
            settings=loaded,
            policies=Live(channel_policies.of(loaded)),
            clock=clock,
            new_id=new_id,
        )
        desk = parked_desk(
            pool=pool,
            sealer=ring.sealer,
            replaying=through,
            accounts=configured,
            clock=clock,
            new_id=new_id,
        )
        try:
            return await work(desk)
        finally:
            await through.committer.drain()
