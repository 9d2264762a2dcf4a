"""The worker process: runs its tasks until it is asked to stop, and fails when one of them dies."""

import asyncio
import logging
import signal
from collections.abc import Callable

import uvloop

from gateway.intake.accept import Intake
from gateway.intake.committer import Committer
from gateway.intake.journal_codec import JournalCodec
from gateway.runtime import lifecycle, logs
from gateway.runtime.hangup import Hangups
from gateway.runtime.reloader import Reloader
from gateway.runtime.settings import Settings
from gateway.stores.postgres.aliases import Aliases
from gateway.stores.postgres.ledger import Ledger
from gateway.wiring import Gateway, batch_writer, open_gateway
from workers.drainer import Drainer
from workers.housekeeper import Housekeeper
from workers.reload import WorkerConfiguration
from workers.sweeper import Sweeper

_log = logging.getLogger(__name__)


def run(settings: Settings, *, load: Callable[[], Settings], hangups: Hangups) -> int:
    """Work until SIGTERM or SIGINT; return 0, or 1 when a task died.

    SIGHUP reloads the settings through ``load``.
    Raises ``SealingError`` or ``Unavailable`` when it cannot start.
    """
    logs.configure(settings.log_level)
    return uvloop.run(_work(settings, load, hangups))


async def _work(settings: Settings, load: Callable[[], Settings], hangups: Hangups) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_gateway(settings) as gateway:
        _log.info("working")
        configuration = WorkerConfiguration(settings=settings, policies=gateway.policies, load=load)
        reloader = Reloader(hangups=hangups, configuration=configuration, clock=gateway.clock)
        is_clean = await lifecycle.supervise(
            {**tasks(gateway), "reloads": reloader}, stopping, drain_s=settings.drain_s
        )
    return 0 if is_clean else 1


def tasks(gateway: Gateway) -> dict[str, lifecycle.Task]:
    """Return the tasks of a worker by name."""
    settings = gateway.settings
    drainer = {} if gateway.stores.journal_streams is None else {"drainer": _drainer(gateway)}
    return {
        **drainer,
        "sweeper": Sweeper(
            maintenance=gateway.maintenance,
            intake=gateway.intake,
            sweep_s=settings.sweep_s,
            unknown_order_s=settings.unknown_order_s,
        ),
        "housekeeper": Housekeeper(
            maintenance=gateway.maintenance,
            clock=gateway.clock,
            raw_months=settings.raw_months,
            rejected_retention_h=settings.refused_keep_h,
            rejected_rows_max=settings.refused_rows_max,
        ),
    }


def _drainer(gateway: Gateway) -> Drainer:
    """Return a drainer with an intake of its own: what it drains must not be journaled again."""
    settings, stores = gateway.settings, gateway.stores
    assert stores.journal_streams is not None, "only asked for where there is a journal"
    ledger = Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=True)
    committer = Committer(
        writer=batch_writer(ledger, None, clock=gateway.clock, settings=settings),
        cache=stores.result_cache,
        settings=settings,
        is_draining=True,
    )
    return Drainer(
        streams=stores.journal_streams,
        codec=JournalCodec(sealer=stores.sealer),
        intake=Intake(
            committer=committer,
            clock=gateway.clock,
            new_id=gateway.new_id,
            policies=gateway.policies,
        ),
        ledger=ledger,
        aliases=Aliases(pool=stores.primary),
        ring_check=gateway.ring_check,
        clock=gateway.clock,
        # A new name at each start: entries of an earlier one are taken over, not mixed with these.
        consumer=str(gateway.new_id()),
    )
