"""The desk for parked rows of a command: over the database alone, without a running gateway."""

import functools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.domain import channels
from gateway.intake import channel_policies
from gateway.intake.accept import Intake
from gateway.intake.committer import Committer
from gateway.runtime import settings_source
from gateway.runtime.clock import SystemClock
from gateway.runtime.ids import UUIDv7
from gateway.runtime.live import Live
from gateway.stores.postgres import key_ring
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.redis.result_cache import NoResultCache
from gateway.web import accounts, wiring
from gateway.web.wiring import ParkedDesk
from gateway.wiring import batch_writer
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
    policies = Live(channel_policies.of(loaded))
    async with connections.primary(loaded, on_connect=check) as pool:
        ledger = Ledger(
            pool=pool,
            sealer=ring.sealer,
            new_id=new_id,
            is_late=True,
            takes_parts=channels.takes_parts(policies),
        )
        committer = Committer(
            writer=batch_writer(ledger, None, clock=clock, settings=loaded),
            cache=NoResultCache(),
            settings=loaded,
            is_draining=True,
        )
        desk = wiring.parked_desk(
            pool=pool,
            sealer=ring.sealer,
            intake=Intake(committer=committer, clock=clock, new_id=new_id, policies=policies),
            ledger=ledger,
            accounts=configured,
            clock=clock,
            new_id=new_id,
        )
        try:
            return await work(desk)
        finally:
            await committer.drain()
