"""Stage tasks for the worker of Celery: ``python -m loadtest.handoff.staging --count N --queue Q``.

By Celery itself and in a process of its own, as its settings come from the environment.
"""

import uuid

import click

from loadtest import orders
from loadtest.baseline import celery_tasks


@click.command()
@click.option("--count", type=click.IntRange(min=1), required=True)
@click.option("--queue", required=True, help="A list beside the one that the worker reads.")
def main(count: int, queue: str) -> None:
    """Put tasks into a list of Redis, each with an event about an order of its own."""
    prefix = uuid.uuid4().hex[:8]
    with celery_tasks.app.producer_pool.acquire(block=True) as producer:
        for n in range(count):
            order = orders.order(n, prefix=prefix)
            data = {"event_id": str(uuid.uuid4()), "order": order}
            event = {"type": "order.placed", "timestamp": order["placed_at"], "data": data}
            celery_tasks.deliver.apply_async((event,), queue=queue, producer=producer)


if __name__ == "__main__":
    main()
