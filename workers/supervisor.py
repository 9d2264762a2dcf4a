"""The worker process: runs its tasks until told to stop, and ends loudly when one dies."""

import asyncio
import logging
import signal

import uvloop

from gateway.runtime import lifecycle, logs
from gateway.runtime.settings import Settings
from gateway.wiring import Gateway, open_gateway
from workers.housekeeper import Housekeeper
from workers.sweeper import Sweeper

_log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; return 0, or 1 when a task died.

    Raises ``SealingError`` or ``Unavailable`` when it can not start.
    """
    logs.configure(settings.log_level)
    return uvloop.run(_work(settings))


async def _work(settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_gateway(settings) as gateway:
        _log.info("working")
        is_clean = await lifecycle.supervise(tasks(gateway), stopping, drain_s=settings.drain_s)
    return 0 if is_clean else 1


def tasks(gateway: Gateway) -> dict[str, lifecycle.Task]:
    """Return the tasks of a worker by name."""
    settings = gateway.settings
    return {
        "sweeper": Sweeper(
            upkeep=gateway.upkeep,
            intake=gateway.intake,
            sweep_s=settings.sweep_s,
            unknown_order_s=settings.unknown_order_s,
        ),
        "housekeeper": Housekeeper(
            upkeep=gateway.upkeep, clock=gateway.clock, raw_months=settings.raw_months
        ),
    }
