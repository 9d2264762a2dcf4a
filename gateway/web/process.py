"""One gateway process: open, listen, serve, drain, close."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import Awaitable, Callable

import uvloop

from gateway.clients.certificate_fetch import CertificateFetcher
from gateway.runtime import addresses, lifecycle, logs, metrics
from gateway.runtime.hangup import Hangups
from gateway.runtime.live import Live
from gateway.runtime.reloader import Reloader
from gateway.runtime.settings import Settings, SettingsError
from gateway.web import accounts as provider_accounts
from gateway.web import wiring
from gateway.web.dispatcher import Dispatcher
from gateway.web.handlers.callbacks import Accounts
from gateway.web.reload import GatewayConfiguration
from gateway.web.transport.listener import Listener
from gateway.wiring import Gateway, open_gateway

_log = logging.getLogger(__name__)

_BACKLOG = 1024
# What names host and port of each listener.
_CLIENTS = ("--host or TIDEGATE_HOST", "--port or TIDEGATE_PORT")
_OPERATORS = ("TIDEGATE_ADMIN_HOST", "TIDEGATE_ADMIN_PORT")
#: Seconds that the last request of an operator may take when the process ends.
_OPERATORS_S = 2.0
#: Allocations (less frees) between two runs of the cycle collector.
_GC_ALLOCATIONS = 20_000


def run(
    settings: Settings, *, load: Callable[[], Settings], hangups: Hangups, reuse_port: bool = False
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; return the exit status.

    SIGHUP reloads the settings through ``load``.
    Raises ``SettingsError``, ``SealingError`` or ``Unavailable`` when it cannot start.
    """
    logs.configure(settings.log_level)
    _raise_descriptor_limit()
    return uvloop.run(_serve(settings, load, hangups, reuse_port))


def _collect_garbage_seldom() -> None:
    """Make the cycle collector run seldom, and only over objects made from now on.

    The objects of a request are freed by their reference counts. By default the collector visits
    them every 700 allocations, which is every few requests, and now and then everything loaded at
    the start: measured, 7 % of the process' time, and pauses in the middle of batches.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS, 20, 20)


def _raise_descriptor_limit() -> None:
    # The usual soft limit of 1024 is below `connections_max`; the hard limit may be used.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(
    settings: Settings, load: Callable[[], Settings], hangups: Hangups, reuse_port: bool
) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_gateway(settings) as gateway, contextlib.AsyncExitStack() as stack:
        certificates = CertificateFetcher(clock=gateway.clock)
        stack.push_async_callback(certificates.close)
        inventory = wiring.open_inventory(settings)
        stack.push_async_callback(inventory.close)
        accounts = Live(provider_accounts.build(settings, before={}))
        server = wiring.build_server(
            gateway, stopping, accounts=accounts, certificates=certificates, inventory=inventory
        )
        configuration = GatewayConfiguration(
            gateway=gateway,
            accounts=accounts,
            early_rejection=server.early_rejection,
            inventory=inventory,
            load=load,
        )
        reloader = Reloader(hangups=hangups, configuration=configuration, clock=gateway.clock)
        bound = _listen(settings.host, settings.port, reuse_port, _CLIENTS)
        listener = open_listener(server, bound, gateway)
        stack.callback(listener.close)
        if settings.admin_port:
            stack.push_async_callback(_listen_to_operators(gateway, accounts, reuse_port))
        host, port = bound.getsockname()[:2]
        _collect_garbage_seldom()
        _log.info("listening", extra={"host": host, "port": port, "role": settings.role})
        # A task that fails sets `stopping`: the process drains and exits with status 1.
        is_clean = await lifecycle.supervise(
            {**wiring.tasks(gateway, port), "reloads": reloader},
            stopping,
            drain_s=settings.drain_s,
        )
        _log.info("draining", extra={"waiting": gateway.committer.waiting})
        # No new connection is accepted from here on; accepted requests are finished.
        listener.stop()
        try:
            async with asyncio.timeout(settings.drain_s):
                await server.drain()
                await gateway.committer.drain()
        except TimeoutError:
            _log.warning("the drain timed out", extra={"waiting": gateway.committer.waiting})
            return 1
        finally:
            # The monitor has ended: what was counted since then would be missing in the totals.
            metrics.publish()
        _log.info("stopped")
    return 0 if is_clean else 1


def _listen_to_operators(
    gateway: Gateway, accounts: Live[Accounts], reuse_port: bool
) -> Callable[[], Awaitable[None]]:
    """Open the operators' listener; return the coroutine function that closes it."""
    settings = gateway.settings
    server = wiring.build_admin_server(gateway, accounts=accounts)
    bound = _listen(settings.admin_host, settings.admin_port, reuse_port, _OPERATORS)
    listener = open_listener(server, bound, gateway)
    _log.info("operators", extra={"host": settings.admin_host, "port": settings.admin_port})

    async def close() -> None:
        # An unfinished request of an operator does not make the process fail.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPERATORS_S):
                await server.drain()
        listener.close()

    return close


def open_listener(server: Dispatcher, bound: socket.socket, gateway: Gateway) -> Listener:
    """Accept connections for a server on a bound socket, until the listener is closed."""
    return Listener(
        listening_socket=bound,
        backlog=_BACKLOG,
        connection_factory=server,
        early_rejection=server.early_rejection,
        is_cpu_short=gateway.admission.is_short,
    )


def _listen(host: str, port: int, reuse_port: bool, named: tuple[str, str]) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError as exc:
        bound.close()
        raise SettingsError(
            addresses.not_listening(host, port, exc, host_setting=named[0], port_setting=named[1])
        ) from exc
    bound.setblocking(False)
    return bound
