"""What the commands under `tidegate deliveries` share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.runtime import settings_source
from gateway.stores.postgres.delivery_desk import DeliveryDesk
from ops import connections
from ops.failures import Failure

T = TypeVar("T")

EXITS = """\
Exits 0, 1 when the database is unavailable or there is no such order or target, 2 for a wrong
option.
"""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def epilog(*examples: str, exits: str = EXITS) -> str:
    """Return what stands below the help of a command."""
    lines = "".join(f"  tidegate deliveries {each}\n" for each in examples)
    return f"\b\nExample:\n{lines}\b\n{exits}"


async def check_target(desk: DeliveryDesk, name: str) -> None:
    """Raise ``Failure`` unless a worker has seen a target of this name."""
    if name not in {each.name for each in await desk.targets()}:
        raise Failure(f"no target {name}: see `tidegate deliveries targets`")


def with_desk(work: Callable[[DeliveryDesk], Awaitable[T]]) -> T:
    """Return what ``work`` does with the desk of the configured database."""
    loaded = settings_source.load()

    async def working() -> T:
        async with connections.primary(loaded) as pool:
            channels = [channel.name for channel in loaded.channels]
            return await work(DeliveryDesk(pool=pool, channels=channels))

    return asyncio.run(working())
