"""One gateway process: open, listen, serve, drain, close."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import uvloop

from gateway.clients.documents import Documents
from gateway.clients.inventory import HttpInventory
from gateway.intake import stock_check
from gateway.intake.stock_check import Inventory, StockCheck
from gateway.overload import peers, snapshot
from gateway.overload.cluster_view import Alone, ClusterView
from gateway.overload.rate_limit_sync import RateLimitSync
from gateway.providers import contract, registry
from gateway.runtime import lifecycle, logs
from gateway.runtime.control_socket import Control
from gateway.runtime.settings import Settings, SettingsError, secret
from gateway.stores.postgres.api_keys import ApiKeys
from gateway.stores.postgres.audit_log import AuditLog
from gateway.stores.postgres.order_reader import OrderReader
from gateway.web import admin_routes, openapi, roles, routes
from gateway.web.authentication import Authenticator
from gateway.web.dispatcher import Dispatcher
from gateway.web.handlers import readiness
from gateway.web.handlers.callbacks import CallbackIntake, ProviderAccount
from gateway.web.handlers.exports import OrderExports
from gateway.web.handlers.health import StatusPages
from gateway.web.handlers.orders import OrderIntake
from gateway.web.handlers.queries import OrderQueries
from gateway.web.handlers.remarks import RemarkIntake
from gateway.web.handlers.stream import LiveStream
from gateway.web.response_cache import ResponseCache
from gateway.web.routing import Router
from gateway.web.transport.early_rejection import EarlyRejection
from gateway.web.transport.listener import Listener
from gateway.wiring import Gateway, open_gateway

_log = logging.getLogger(__name__)

_BACKLOG = 1024
#: Seconds that an operator's last request may take when the process ends.
_OPERATORS_S = 2.0
#: Allocations (less frees) between two looks of the cycle collector.
_GC_ALLOCATIONS = 20_000


def run(settings: Settings, *, reuse_port: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, then drain; return the exit status.

    Raises ``SettingsError``, ``SealingError`` or ``Unavailable`` when it can not start.
    """
    logs.configure(settings.log_level)
    _raise_descriptor_limit()
    return uvloop.run(_serve(settings, reuse_port))


def _collect_seldom() -> None:
    """Let the cycle collector look at what is new, and seldom.

    The objects of a request die by their reference counts. By default the collector walks them
    every 700 allocations, which is every few requests, and now and then everything that was
    loaded at the start: measured, 7 % of the process' time, and pauses in the middle of batches.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS, 20, 20)


def _raise_descriptor_limit() -> None:
    # The usual soft limit of 1024 is below `connections_max`; the hard one is ours to use.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(settings: Settings, reuse_port: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_gateway(settings) as gateway, contextlib.AsyncExitStack() as stack:
        documents = Documents(clock=gateway.clock)
        stack.push_async_callback(documents.close)
        inventory = open_inventory(settings)
        stack.push_async_callback(inventory.close)
        server = build(gateway, stopping, documents=documents, inventory=inventory)
        listener = _listen(settings.host, settings.port, reuse_port)
        door = open_listener(server, listener, gateway)
        stack.callback(door.close)
        if settings.admin_port:
            stack.push_async_callback(_listen_to_operators(gateway, reuse_port))
        host, port = listener.getsockname()[:2]
        _collect_seldom()
        _log.info("listening", extra={"host": host, "port": port, "role": settings.role})
        # A task that dies sets `stopping`: the process drains, and says that it failed.
        is_clean = await lifecycle.supervise(
            _tasks(gateway, port), stopping, drain_s=settings.drain_s
        )
        _log.info("draining", extra={"waiting": gateway.committer.waiting})
        # New connections are refused from here on; what was accepted is finished.
        door.stop()
        try:
            async with asyncio.timeout(settings.drain_s):
                await server.drain()
                await gateway.committer.drain()
        except TimeoutError:
            _log.warning("drain ran out of time", extra={"waiting": gateway.committer.waiting})
            return 1
        _log.info("stopped")
    return 0 if is_clean else 1


def _listen_to_operators(gateway: Gateway, reuse_port: bool) -> Callable[[], Awaitable[None]]:
    """Open the operators' own port; return what closes it again."""
    settings = gateway.settings
    server = admin_routes.build(gateway)
    listener = _listen(settings.admin_host, settings.admin_port, reuse_port)
    door = open_listener(server, listener, gateway)
    _log.info("operators", extra={"host": settings.admin_host, "port": settings.admin_port})

    async def close() -> None:
        # Half a request of an operator is no reason to say that the process failed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPERATORS_S):
                await server.drain()
        door.close()

    return close


def _tasks(gateway: Gateway, port: int) -> dict[str, lifecycle.Task]:
    """Return the long-lived tasks of a gateway by name."""
    journal = {} if gateway.journal is None else {"journal": gateway.journal}
    control = Control(
        directory=Path(gateway.settings.control_dir),
        answer=snapshot.Answers(overload=gateway.overload, modes=gateway.overrides).answer,
    )
    return {
        "overload": gateway.overload,
        "modes": gateway.overrides,
        "control": control,
        "refusals": gateway.rejected_callbacks,
        **journal,
        **_peers(gateway, port),
        **_shared_quotas(gateway),
    }


def _peers(gateway: Gateway, port: int) -> dict[str, lifecycle.Task]:
    states = gateway.stores.process_states
    if states is None:
        return {}
    told = peers.Peers(
        states=states,
        heard=gateway.heard,
        overload=gateway.overload,
        committer=gateway.committer,
        modes=gateway.overrides,
        who=peers.who(
            role=gateway.settings.role,
            port=port,
            started_at=gateway.clock.now(),
            version=version("tidegate"),
        ),
        clock=gateway.clock,
    )
    return {"peers": told}


def _shared_quotas(gateway: Gateway) -> dict[str, lifecycle.Task]:
    totals = gateway.stores.rate_limit_totals
    quotas = [("channel", each) for each in gateway.channel_rate_limits.values()]
    if gateway.settings.key_requests_per_s_max:
        quotas.append(("key", gateway.key_rate_limits))
    if totals is None or not quotas:
        return {}
    return {"quotas": RateLimitSync(totals=totals, quotas=quotas, clock=gateway.clock)}


def _fleet(gateway: Gateway) -> ClusterView | Alone:
    states = gateway.stores.process_states
    return Alone() if states is None else ClusterView(states=states, clock=gateway.clock)


def open_listener(server: Dispatcher, listener: socket.socket, gateway: Gateway) -> Listener:
    """Serve a listener until the door is closed."""
    return Listener(
        listener=listener,
        backlog=_BACKLOG,
        protocol=server,
        gate=server.gate,
        is_short=gateway.overload.is_short,
    )


def open_inventory(settings: Settings) -> HttpInventory:
    """Make the client of the inventory; it is closed by the caller. Raises ``SettingsError``."""
    # Its secret is fetched by who asks alone.
    token = settings.inventory_token if _asks_inventory(settings) else ""
    return HttpInventory(
        url=settings.inventory_url,
        token=secret(token) if token else "",
        call_s=settings.inventory_s,
        calls_max=stock_check.CALLS_MAX,
    )


def _asks_inventory(settings: Settings) -> bool:
    return bool(settings.inventory_url) and settings.role != "query"


def _stock_check(gateway: Gateway, inventory: Inventory) -> StockCheck | None:
    if not _asks_inventory(gateway.settings):
        return None
    return StockCheck(
        inventory=inventory,
        overload=gateway.overload,
        breaker=stock_check.breaker(),
        clock=gateway.clock,
        call_s=gateway.settings.inventory_s,
    )


def build(
    gateway: Gateway, stopping: asyncio.Event, *, documents: Documents, inventory: Inventory
) -> Dispatcher:
    """Introduce the handlers to the parts and return the server."""
    settings = gateway.settings
    # Who reads needs no provider's secrets, and can not leak what it does not have.
    configured = {} if settings.role == "query" else provider_accounts(settings)
    shelf = ResponseCache(clock=gateway.clock)
    reading = OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)
    status = StatusPages(
        needed=readiness.needed(gateway),
        instead=readiness.instead(gateway),
        helpful=readiness.helpful(gateway),
        is_stopping=stopping.is_set,
        clock=gateway.clock,
    )
    order_intake = OrderIntake(
        intake=gateway.intake,
        stock=_stock_check(gateway, inventory),
        quotas=gateway.channel_rate_limits,
        clock=gateway.clock,
        bytes_max=settings.order_bytes_max,
        body_s=settings.body_s,
    )
    every_route = routes.all_routes(
        order_intake=order_intake,
        callbacks=CallbackIntake(
            intake=gateway.intake,
            lines=configured,
            refusals=gateway.rejected_callbacks,
            clock=gateway.clock,
            new_id=gateway.new_id,
            fetch=documents.fetch,
            bytes_max=settings.callback_bytes_max,
            body_s=settings.body_s,
        ),
        queries=OrderQueries(reading=reading, journal=gateway.journal, shelf=shelf),
        exports=OrderExports(
            reading=reading,
            audit=AuditLog(pool=gateway.stores.primary_reads),
            overload=gateway.overload,
            rows_max=settings.export_rows_max,
            exports_max=settings.exports_max,
        ),
        stream=LiveStream(
            overload=gateway.overload,
            fleet=_fleet(gateway),
            stopping=stopping,
            clock=gateway.clock,
            streams_max=settings.streams_max,
        ),
        remarks=RemarkIntake(
            remarks=gateway.remarks, journal=gateway.journal, body_s=settings.body_s
        ),
        status=status,
    )
    served = [route for route in every_route if roles.serves(settings.role, route)]
    status.document = openapi.document(served, version=version("tidegate"))
    return Dispatcher(
        router=Router(roles.table(settings.role, every_route)),
        authenticator=Authenticator(
            keys=ApiKeys(pool=gateway.stores.primary_reads, replicas=gateway.stores.replicas),
            clock=gateway.clock,
            ttl_s=settings.api_key_ttl_s,
        ),
        gate=EarlyRejection(
            overload=gateway.overload,
            role=settings.role,
            routes=every_route,
            later={way: line.adapter.reply("later") for way, line in configured.items()},
            shelf=shelf,
        ),
        quotas=gateway.key_rate_limits,
        clock=gateway.clock,
        connections_max=settings.connections_max,
        keepalive_s=settings.keepalive_s,
        write_s=settings.body_s,
        # Who asks an inventory waits for it, and one that only reads takes no orders.
        plain_orders=None
        if settings.role == "query" or _asks_inventory(settings)
        else order_intake,
        plain_bytes_max=settings.order_bytes_max,
    )


def provider_accounts(settings: Settings) -> dict[tuple[str, str], ProviderAccount]:
    """Make the adapter of every configured account. Raises ``SettingsError`` naming the account."""
    made = {}
    for account in settings.accounts:
        try:
            secrets = [secret(reference) for reference in account.secrets]
            adapter = registry.build(
                account.provider,
                contract.Account(account.name, secrets, account.options, account.channels),
            )
        except ValueError as exc:
            raise SettingsError(f"accounts: {account.provider}/{account.name}: {exc}") from exc
        made[account.provider, account.name] = ProviderAccount(
            account.provider, account.name, tuple(account.channels), adapter
        )
    return made


def _listen(host: str, port: int, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise SettingsError(
            f"can not listen on {host}:{port} ({exc.strerror}); "
            "choose another with --port, TIDEGATE_PORT or TIDEGATE_ADMIN_PORT"
        ) from exc
    listener.setblocking(False)
    return listener
