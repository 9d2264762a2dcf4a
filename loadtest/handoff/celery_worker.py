"""(a): a plain team's hand-off, Celery on Redis with ``requests``."""

import os
import time
from pathlib import Path

import redis

from loadtest.bench import cpu, processes
from loadtest.errors import CannotRun
from loadtest.handoff import watching
from loadtest.handoff.watching import Speed, Warehouse

#: The list that the worker of Celery reads, and one beside it.
_QUEUE, _STAGED = "handoff", "staged"
_READY_S = 60.0
#: Deliveries before the measurement: every process of the pool has a connection by then.
_WARM_UP = 500


def measure(
    count: int, *, warehouse: Warehouse, redis_url: str, secret: str, scratch: Path
) -> Speed:
    """Start the worker, warm it up, have it deliver ``count`` staged events, stop it."""
    variables = {
        "PLAIN_REDIS_URL": redis_url,
        "PLAIN_TARGET_URL": warehouse.url,
        "PLAIN_SECRET": secret,
    }
    # A process for each core: more of them take no more CPU per delivery, and are no faster.
    options = ["-A", "loadtest.baseline.celery_tasks", "worker", "-Q", _QUEUE, "--concurrency",
               str(os.cpu_count() or 1), "--loglevel", "warning", "--without-gossip",
               "--without-mingle", "--without-heartbeat"]  # fmt: skip
    client = redis.Redis.from_url(redis_url, protocol=2)
    with client, processes.working("celery", options, variables, scratch / "celery.log") as pid:
        _stage(client, _WARM_UP, variables)
        _release(client, warehouse)
        warehouse.wait_for(_WARM_UP, stalled_s=_READY_S)
        _stage(client, count, variables)
        before = cpu.usage(pid)
        began_s = _release(client, warehouse)
        received = warehouse.wait_for(count)
        used = cpu.usage(pid).since(before)
    return watching.speed(count, received, used, began_s=began_s)


def _stage(client: redis.Redis, count: int, variables: dict[str, str]) -> None:
    options = ["--count", str(count), "--queue", _STAGED]
    processes.run("loadtest.handoff.staging", options, variables)
    if (staged := client.llen(_STAGED)) != count:
        raise CannotRun(f"{staged} of {count} events were staged for Celery")


def _release(client: redis.Redis, warehouse: Warehouse) -> float:
    """Make all that is staged due at one instant, and return it."""
    warehouse.forget()
    began_s = time.monotonic()
    client.rename(_STAGED, _QUEUE)
    return began_s
