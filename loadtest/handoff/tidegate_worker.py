"""(b): Tidegate, one worker with one target, as its operator would set it up."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from loadtest.bench import cpu, databases, open_loop, processes
from loadtest.bench.processes import Running
from loadtest.bench.servers import Addresses
from loadtest.deployment import new_secret
from loadtest.errors import CannotRun, translated
from loadtest.handoff import watching
from loadtest.handoff.watching import Speed, Warehouse
from ops.harness import accounts_file, environment, first_start
from ops.simulators import standard_webhooks

_GATEWAY = ("serve",)
#: Orders per second at which those to be handed on are placed.
_PLACED_PER_S = 1000
_PLACINGS_MAX = 20
_ORDERS = "SELECT count(*) FROM orders"
_POLL_INTERVAL_S = 0.05
_SETTLED_S = 60.0
#: One transaction: all of it is due at one instant.
_STAGE = """
INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
SELECT gen_random_uuid(), id, version, 'order.placed', 5, now()
  FROM orders ORDER BY id LIMIT {count}
"""
_STAGED = "SELECT count(*) FROM outbox"
_PENDING = "SELECT count(*) FROM deliveries"


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A database with its keys, the settings of its processes, and the account that pays."""

    database_url: str
    variables: dict[str, str]
    token: str
    payer_secret: str
    scratch: Path

    @contextmanager
    def gateway(self) -> Iterator[Running]:
        """Run one gateway until the block ends."""
        log = self.scratch / "gateway.log"
        with processes.serving("ops.cli", _GATEWAY, self.variables, log) as running:
            yield running

    @contextmanager
    def worker(self, *, settled_s: float = _SETTLED_S) -> Iterator[int]:
        """Run one worker until the block ends; yield its pid once it has nothing to do."""
        log = self.scratch / "worker.log"
        with processes.working("ops.cli", ("work",), self.variables, log) as pid:
            self.settle(within_s=settled_s)
            yield pid

    def count(self, query: str) -> int:
        """Return the number that a query gives."""
        return databases.number(self.database_url, query)

    def settle(self, *, within_s: float = _SETTLED_S) -> None:
        """Return once the outbox is relayed and everything delivered. Raises ``CannotRun``."""
        deadline_s = time.monotonic() + within_s
        while self.count(_STAGED) or self.count(_PENDING):
            if time.monotonic() > deadline_s:
                log = (self.scratch / "worker.log").read_text("utf-8")[-2000:]
                raise CannotRun(
                    f"{self.count(_STAGED)} outbox rows and {self.count(_PENDING)} deliveries are "
                    f"left after {within_s:g} s. The end of the worker's log:\n{log}"
                )
            time.sleep(_POLL_INTERVAL_S)


def prepare(
    name: str, addresses: Addresses, scratch: Path, *, warehouse: Warehouse,
    topics: Sequence[str] = (),
) -> Deployment:  # fmt: skip
    """Create a database, keys and settings with one webhook target. Raises ``CannotRun``."""
    scratch = scratch / name
    scratch.mkdir()
    payer = standard_webhooks.create()
    config = scratch / "tidegate.toml"
    config.write_text(_settings(scratch, warehouse.url, topics, payer.secrets[:1]), "utf-8")
    database_url = databases.create(addresses.database_url, f"handoff_{name}")
    variables = environment.settings(
        config=config,
        database_url=database_url,
        redis_url=addresses.redis_url,
        journal_url=addresses.journal_url,
        keyring_file=scratch / "keyring.toml",
        control_dir=scratch / "control",
        # Other workers of this machine may show their metrics.
        worker_metrics_port=0,
    )
    with translated():
        token = first_start.prepare(
            processes.tidegate(variables), key_name="handoff", roles=["ingest"]
        )
    return Deployment(
        database_url=database_url,
        variables=variables,
        token=token,
        payer_secret=payer.secrets[0],
        scratch=scratch,
    )


def _settings(
    directory: Path, url: str, topics: Sequence[str], payer_secrets: Sequence[str]
) -> str:
    account = accounts_file.section(
        provider="standard_webhooks",
        name="payer",
        channels=["web"],
        secrets=accounts_file.write_secrets(directory, "payer", payer_secrets),
        options={},
    )
    (secret,) = accounts_file.write_secrets(directory, "target", [new_secret()])
    target = {
        "name": "warehouse",
        "kind": "webhook",
        "url": url,
        "secrets": [secret],
        "topics": list(topics),
        "private_addresses": ["127.0.0.1"],
    }
    lines = [f"{key} = {accounts_file.value(value)}" for key, value in target.items()]
    return "\n".join([account, "", "[[targets]]", *lines]) + "\n"


def place(deployment: Deployment, count: int, *, prefix: str = "h") -> None:
    """Place so many distinct orders; what a busy machine sheds is made up for."""
    with deployment.gateway() as gateway:
        for attempt in range(_PLACINGS_MAX):
            missing = count - deployment.count(_ORDERS)
            if missing <= 0:
                return
            open_loop.generate(
                gateway.port, _PLACED_PER_S, missing / _PLACED_PER_S, deployment.token,
                f"{prefix}{attempt}",
            )  # fmt: skip
    raise CannotRun(f"{deployment.count(_ORDERS)} of {count} orders were accepted")


def measure(deployment: Deployment, count: int, *, warehouse: Warehouse) -> Speed:
    """Have a worker deliver ``count`` staged events; the orders of them are placed already."""
    with deployment.worker() as pid:
        warehouse.forget()
        before, began_s = cpu.usage(pid), time.monotonic()
        databases.execute(deployment.database_url, _STAGE.format(count=count))
        warehouse.wait_for(count)
        # To the end of what the deliveries cost: their attempts are logged, their rows removed.
        deployment.settle()
        used = cpu.usage(pid).since(before)
        received = warehouse.received()
    if received.count != count:
        raise CannotRun(f"{received.count:,} requests came for {count:,} events")
    return watching.speed(count, received, used, began_s=began_s)
