"""Introduces the handlers of a gateway process to its parts.

What is made here: the dispatchers of both listeners, the client of the inventory, and the
long-lived tasks of the process.
"""

import asyncio
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.clients.certificate_fetch import CertificateFetcher
from gateway.clients.inventory import HttpInventory
from gateway.domain import exception_cases
from gateway.intake import stock_check
from gateway.intake.journal_codec import JournalCodec
from gateway.intake.replay_runs import ReplayRuns
from gateway.intake.replays import Replayer
from gateway.intake.stock_check import Inventory, StockCheck
from gateway.overload import heartbeats, snapshot
from gateway.overload.cluster_view import ClusterView, NoClusterView
from gateway.overload.rate_limit import RateLimits
from gateway.overload.rate_limit_sync import RateLimitSync
from gateway.providers import registry
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.runtime.control_socket import Control
from gateway.runtime.live import Live
from gateway.runtime.settings import Settings, secret
from gateway.stores.postgres import missed_orders
from gateway.stores.postgres.aliases import Aliases
from gateway.stores.postgres.api_keys import ApiKeys
from gateway.stores.postgres.approvals import ApprovalStore
from gateway.stores.postgres.audit import AuditLog
from gateway.stores.postgres.change_feed import ChangeFeed
from gateway.stores.postgres.delivery_desk import DeliveryDesk
from gateway.stores.postgres.exceptions import Exceptions
from gateway.stores.postgres.missed_orders import MissedOrders
from gateway.stores.postgres.order_reader import OrderReader
from gateway.stores.postgres.parked import ParkedRows
from gateway.stores.postgres.rejected_callbacks import RejectedCallbacks
from gateway.stores.sealing import Sealer
from gateway.web import accounts as provider_accounts
from gateway.web import admin_routes, apis, callback_variants, documents, roles, routes
from gateway.web.authentication import Authenticator
from gateway.web.dispatcher import Dispatcher, Router
from gateway.web.handlers import readiness
from gateway.web.handlers.actions import ActionHandler
from gateway.web.handlers.admin import AdminHandler
from gateway.web.handlers.approvals import ApprovalHandler
from gateway.web.handlers.callbacks import Accounts, CallbackHandler
from gateway.web.handlers.deliveries import DeliveryHandler
from gateway.web.handlers.documents import Documents
from gateway.web.handlers.exceptions import ExceptionHandler
from gateway.web.handlers.exports import ExportHandler
from gateway.web.handlers.health import StatusHandler
from gateway.web.handlers.missed import MissedHandler
from gateway.web.handlers.orders import OrderHandler
from gateway.web.handlers.parked import ParkedHandler
from gateway.web.handlers.queries import QueryHandler
from gateway.web.handlers.rejected_callbacks import RejectedCallbackHandler
from gateway.web.handlers.remarks import RemarkHandler
from gateway.web.handlers.stream import StreamHandler
from gateway.web.kept_messages import AccountDecoder
from gateway.web.response_cache import ResponseCache
from gateway.web.transport.early_rejection import EarlyRejection
from gateway.wiring import Gateway, Replaying, replaying

#: Connections to the operators' listener.
_OPERATORS_MAX = 50


def open_inventory(settings: Settings) -> HttpInventory:
    """Return the client of the inventory, for the caller to close. Raises ``SettingsError``."""
    return HttpInventory(
        url=settings.inventory_url,
        token=inventory_token(settings),
        call_s=settings.inventory_s,
        calls_max=stock_check.CALLS_MAX,
    )


def inventory_token(settings: Settings) -> str:
    """Return the token for the inventory, empty for none. Raises ``SettingsError``."""
    # It is read only where the inventory is used.
    token = settings.inventory_token if _uses_inventory(settings) else ""
    return secret(token) if token else ""


def _uses_inventory(settings: Settings) -> bool:
    return bool(settings.inventory_url) and settings.role != "query"


def _stock_check(gateway: Gateway, inventory: Inventory) -> StockCheck | None:
    if not _uses_inventory(gateway.settings):
        return None
    return StockCheck(
        inventory=inventory,
        shedding=gateway.admission,
        breaker=stock_check.breaker(),
        clock=gateway.clock,
        call_s=gateway.settings.inventory_s,
    )


def build_server(
    gateway: Gateway,
    stopping: asyncio.Event,
    *,
    accounts: Live[Accounts],
    certificates: CertificateFetcher,
    inventory: Inventory,
) -> Dispatcher:
    """Return the dispatcher of the clients' listener over the parts of a process."""
    settings = gateway.settings
    response_cache = ResponseCache(clock=gateway.clock)
    reader = OrderReader(readers=gateway.readers, sealer=gateway.stores.sealer)
    stock = _stock_check(gateway, inventory)
    status = StatusHandler(
        required=readiness.required(gateway),
        alternatives=readiness.alternatives(gateway),
        optional=readiness.optional(gateway, stock),
        objection=lambda: gateway.ring_check.refusal,
        is_stopping=stopping.is_set,
        clock=gateway.clock,
    )
    orders = OrderHandler(
        intake=gateway.intake,
        stock_check=stock,
        rate_limits=gateway.channel_rate_limits,
        clock=gateway.clock,
        limits=gateway.limits,
    )
    approvals = ApprovalStore(pool=gateway.stores.primary, sealer=gateway.stores.sealer)
    actions = ActionHandler(
        intake=gateway.intake,
        reader=reader,
        approvals=approvals,
        journal=gateway.journal_monitor,
        clock=gateway.clock,
        new_id=gateway.new_id,
        limits=gateway.limits,
    )
    described = Documents()
    every_route = routes.all_routes(
        orders=orders,
        callbacks=CallbackHandler(
            intake=gateway.intake,
            accounts=accounts,
            rejected_callbacks=gateway.rejected_callbacks,
            clock=gateway.clock,
            new_id=gateway.new_id,
            fetch=certificates.fetch,
            limits=gateway.limits,
        ),
        queries=QueryHandler(
            reader=reader,
            changes=ChangeFeed(readers=gateway.readers, sealer=gateway.stores.sealer),
            journal=gateway.journal_monitor,
            response_cache=response_cache,
            clock=gateway.clock,
        ),
        exports=ExportHandler(
            reader=reader,
            audit=AuditLog(pool=gateway.stores.primary_reads),
            admission=gateway.admission,
            limits=gateway.limits,
            clock=gateway.clock,
        ),
        stream=StreamHandler(
            admission=gateway.admission,
            cluster=_cluster(gateway),
            stopping=stopping,
            clock=gateway.clock,
            limits=gateway.limits,
        ),
        remarks=RemarkHandler(
            remarks=gateway.remarks, journal=gateway.journal_monitor, limits=gateway.limits
        ),
        actions=actions,
        approvals=ApprovalHandler(
            actions=actions, store=approvals, clock=gateway.clock, limits=gateway.limits
        ),
        status=status,
        documents=described,
        callback_variants=callback_variants.of(registry.PROVIDERS),
    )
    documents.describe(
        described,
        apis.CLIENTS,
        every_route,
        version=version("tidegate"),
        server=settings.public_url or "/",
    )
    return Dispatcher(
        router=Router(roles.table(settings.role, every_route)),
        authenticator=Authenticator(
            keys=ApiKeys(pool=gateway.stores.primary_reads, replicas=gateway.stores.replicas),
            rate_limits=gateway.key_rate_limits,
            clock=gateway.clock,
            ttl_s=settings.api_key_ttl_s,
        ),
        early_rejection=EarlyRejection(
            admission=gateway.admission,
            role=settings.role,
            routes=every_route,
            retry_responses=provider_accounts.retry_replies(accounts.now),
            response_cache=response_cache,
        ),
        clock=gateway.clock,
        limits=gateway.limits,
        # A stock check waits for its inventory, and a process that only reads accepts no orders.
        fast_path_orders=None if settings.role == "query" or _uses_inventory(settings) else orders,
    )


class ParkedDesk(Struct, frozen=True):
    """What people work on parked rows with, over HTTP and on the command line."""

    rows: ParkedRows
    runs: ReplayRuns
    decoder: AccountDecoder


def parked_desk(
    *,
    pool: "asyncpg.Pool[asyncpg.Record]",
    sealer: Sealer,
    replaying: Replaying,
    accounts: Live[Accounts],
    clock: Clock,
    new_id: Callable[[], UUID],
) -> ParkedDesk:
    """Return the desk over what replays go through."""
    rows, decoder = ParkedRows(pool=pool, sealer=sealer), AccountDecoder(accounts)
    aliases = Aliases(pool=pool)

    async def note_alias(alias: UUID, order_id: UUID) -> None:
        await aliases.add([(alias, order_id)])

    replayer = Replayer(
        rows=rows,
        decoder=decoder,
        codec=JournalCodec(sealer=sealer),
        new_id=new_id,
        note_alias=note_alias,
    )
    runs = ReplayRuns(
        pages=rows,
        replayer=replayer,
        intake=replaying.intake,
        ledger=replaying.ledger,
        clock=clock,
    )
    return ParkedDesk(rows, runs, decoder)


def build_admin_server(gateway: Gateway, *, accounts: Live[Accounts]) -> Dispatcher:
    """Return the dispatcher of the operators' listener over the parts of a process."""
    settings = gateway.settings

    described = Documents()
    desk = parked_desk(
        pool=gateway.stores.primary,
        sealer=gateway.stores.sealer,
        replaying=replaying(
            pool=gateway.stores.primary,
            sealer=gateway.stores.sealer,
            settings=settings,
            policies=gateway.policies,
            clock=gateway.clock,
            new_id=gateway.new_id,
        ),
        accounts=accounts,
        clock=gateway.clock,
        new_id=gateway.new_id,
    )
    table = admin_routes.all_routes(
        admin=AdminHandler(
            override_store=gateway.override_store,
            active_overrides=gateway.overrides,
            admission=gateway.admission,
            clock=gateway.clock,
            limits=gateway.limits,
        ),
        exceptions=ExceptionHandler(
            store=Exceptions(
                pool=gateway.stores.primary_reads,
                sealer=gateway.stores.sealer,
                new_id=gateway.new_id,
            ),
            policies=exception_cases.configured(settings.exceptions),
            clock=gateway.clock,
            new_id=gateway.new_id,
            limits=gateway.limits,
        ),
        parked=ParkedHandler(
            rows=desk.rows,
            runs=desk.runs,
            decoder=desk.decoder,
            clock=gateway.clock,
            limits=gateway.limits,
        ),
        rejected=RejectedCallbackHandler(
            store=RejectedCallbacks(pool=gateway.stores.primary, sealer=gateway.stores.sealer)
        ),
        deliveries=DeliveryHandler(
            desk=DeliveryDesk(
                pool=gateway.stores.primary,
                channels=[channel.name for channel in settings.channels],
            ),
            clock=gateway.clock,
            limits=gateway.limits,
        ),
        missed=MissedHandler(
            store=MissedOrders(pool=gateway.stores.primary_reads),
            targets=missed_orders.accepting(settings.targets),
            clock=gateway.clock,
            limits=gateway.limits,
        ),
        documents=described,
    )
    documents.describe(described, apis.OPERATORS, table, version=version("tidegate"), server="/")
    return Dispatcher(
        router=Router(table),
        authenticator=Authenticator(
            keys=ApiKeys(pool=gateway.stores.primary_reads, replicas=gateway.stores.replicas),
            rate_limits=RateLimits(rate=0.0, burst=1),
            clock=gateway.clock,
            ttl_s=settings.api_key_ttl_s,
        ),
        early_rejection=EarlyRejection(
            admission=gateway.admission,
            role="all",
            routes=table,
            retry_responses={},
            response_cache=ResponseCache(clock=gateway.clock),
        ),
        clock=gateway.clock,
        limits=Live(msgspec.structs.replace(gateway.limits.now, connections_max=_OPERATORS_MAX)),
    )


def tasks(gateway: Gateway, port: int) -> dict[str, lifecycle.Task]:
    """Return the long-lived tasks of a gateway by name; ``port``: the one that it listens on."""
    monitor = gateway.journal_monitor
    journal = {} if monitor is None else {"journal": monitor}
    control = Control(
        directory=Path(gateway.settings.control_dir),
        answer=snapshot.ControlAnswers(
            admission=gateway.admission, overrides=gateway.overrides
        ).answer,
    )
    return {
        "load monitor": gateway.load_monitor,
        "overrides": gateway.overrides,
        "control": control,
        "rejected callbacks": gateway.rejected_callbacks,
        **journal,
        **_peers(gateway, port),
        **_rate_limit_sync(gateway),
    }


def _peers(gateway: Gateway, port: int) -> dict[str, lifecycle.Task]:
    states = gateway.stores.process_states
    if states is None:
        return {}
    heartbeats_task = heartbeats.Heartbeats(
        states=states,
        loads=gateway.peer_loads,
        admission=gateway.admission,
        identity=heartbeats.identity(
            role=gateway.settings.role,
            port=port,
            started_at=gateway.clock.now(),
            version=version("tidegate"),
        ),
        clock=gateway.clock,
    )
    return {"peers": heartbeats_task}


def _rate_limit_sync(gateway: Gateway) -> dict[str, lifecycle.Task]:
    totals = gateway.stores.rate_limit_totals
    if totals is None:
        return {}

    def limits() -> Iterator[tuple[str, RateLimits]]:
        # Without a limit now, there may be one after the next reload.
        for each in gateway.channel_rate_limits.now.values():
            yield "channel", each
        yield "key", gateway.key_rate_limits

    return {"rate limits": RateLimitSync(totals=totals, limits=limits, clock=gateway.clock)}


def _cluster(gateway: Gateway) -> ClusterView | NoClusterView:
    states = gateway.stores.process_states
    return NoClusterView() if states is None else ClusterView(states=states, clock=gateway.clock)
