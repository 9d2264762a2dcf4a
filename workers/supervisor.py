"""The worker process: runs its tasks until it is asked to stop, and fails when one of them dies."""

import asyncio
import functools
import logging
import os
import signal
from collections.abc import Callable, Mapping
from datetime import time

import uvloop

from gateway.domain import alert_settings, channels, exception_cases
from gateway.domain.missed import AcceptingTarget
from gateway.intake.accept import Intake
from gateway.intake.committer import Committer
from gateway.intake.journal_codec import JournalCodec
from gateway.runtime import lifecycle, logs, metrics, zones
from gateway.runtime.hangup import Hangups
from gateway.runtime.reloader import Reloader
from gateway.runtime.settings import Settings, SettingsError
from gateway.stores.postgres import missed_orders, pools
from gateway.stores.postgres.alerts import Alerts
from gateway.stores.postgres.aliases import Aliases
from gateway.stores.postgres.deliveries import Deliveries
from gateway.stores.postgres.exceptions import Exceptions
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.missed_orders import MissedOrders
from gateway.stores.postgres.orders_to_tell import OrdersToTell
from gateway.stores.postgres.outbox_listener import OutboxListener
from gateway.stores.postgres.recheck import RecheckStore
from gateway.stores.postgres.relay import RelayStore
from gateway.stores.postgres.scan import ScanStore
from gateway.stores.redis.alert_claims import AlertClaims
from gateway.wiring import Gateway, batch_writer, open_gateway
from workers import alert_channels, nightly_scan, senders
from workers import targets as target_list
from workers.alert_book import CLAIM_S, REPEAT_S, AlertBook
from workers.alert_figures import Figures
from workers.alerts import Alerting
from workers.dispatcher import Dispatcher
from workers.drainer import Drainer
from workers.exceptions import ExceptionFinder
from workers.handoff_gauges import HandOffGauges
from workers.housekeeper import Housekeeper
from workers.missed import Missed
from workers.nightly import Nightly
from workers.parked import ParkedRows
from workers.recheck import Recheck
from workers.relay import Relay
from workers.reload import WorkerConfiguration
from workers.rounds import Rounds
from workers.status_listener import NOT_CONFIGURED, StatusListener
from workers.sweeper import Sweeper
from workers.targets import BuildSender, Targets
from workers.timeouts import Timeouts

_log = logging.getLogger(__name__)

#: The tasks that work in rounds, and after how many seconds without one they are not ready: many
#: times what a round takes, with the time that a commit or a deletion may take.
_OVERDUE_S = {
    "drainer": 60.0,
    "sweeper": 60.0,
    "timeouts": 60.0,
    "parked": 120.0,
    "relay": 60.0,
    "dispatcher": 60.0,
    "deliveries": 120.0,
    "exceptions": 60.0,
    "missed": 120.0,
    "alerts": 60.0,
    "recheck": 120.0,
    # A scan may take long: it says itself that it goes on.
    "nightly": 7200.0,
    "housekeeper": 900.0,
}

#: Of the time for the drain, what is being sent to targets may take.
_SENDING_SHARE = 0.7


def run(settings: Settings, *, load: Callable[[], Settings], hangups: Hangups) -> int:
    """Work until SIGTERM or SIGINT; return 0, or 1 when a task died.

    SIGHUP reloads the settings through ``load``.
    Raises ``SealingError`` or ``Unavailable`` when it cannot start.
    """
    logs.configure(settings.log_level)
    os.setpriority(
        os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), settings.worker_nice)
    )
    return uvloop.run(_work(settings, load, hangups))


async def _work(settings: Settings, load: Callable[[], Settings], hangups: Hangups) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_gateway(settings) as gateway:
        _log.info("working")
        targets = open_targets(gateway)
        configuration = WorkerConfiguration(
            settings=settings,
            policies=gateway.policies,
            rules=gateway.rules,
            targets=targets,
            signal=gateway.outbox_signal,
            make_sender=_make_sender(gateway),
            load=load,
        )
        reloader = Reloader(hangups=hangups, configuration=configuration, clock=gateway.clock)
        is_clean = await lifecycle.supervise(
            {**tasks(gateway, targets), "reloads": reloader}, stopping, drain_s=settings.drain_s
        )
    return 0 if is_clean else 1


def open_targets(gateway: Gateway) -> Targets:
    """Return the targets of the settings, with their senders. Raises ``SettingsError``."""
    return Targets(target_list.build(gateway.settings.targets, _make_sender(gateway), before={}))


def _make_sender(gateway: Gateway) -> BuildSender:
    return functools.partial(senders.open_sender, clock=gateway.clock, environ=os.environ)


def tasks(gateway: Gateway, targets: Targets | None = None) -> dict[str, lifecycle.Task]:
    """Return the tasks of a worker by name; without ``targets`` it has those of its settings."""
    settings = gateway.settings
    rounds = {
        task: Rounds(task=task, clock=gateway.clock, overdue_s=overdue_s)
        for task, overdue_s in _OVERDUE_S.items()
    }
    live = targets or open_targets(gateway)
    journal: dict[str, lifecycle.Task] = {}
    if gateway.stores.journal_streams is None:
        del rounds["drainer"]
    else:
        journal["drainer"] = _drainer(gateway, rounds["drainer"])
    if gateway.journal_monitor is not None:
        # For its figures: how much waits to be drained, and since when.
        journal["journal"] = gateway.journal_monitor
    return {
        **journal,
        **_status(gateway, rounds),
        **_alerts(gateway, live, rounds),
        **_hand_off(gateway, live, rounds),
        "sweeper": Sweeper(
            maintenance=gateway.maintenance,
            intake=gateway.intake,
            rounds=rounds["sweeper"],
            sweep_s=settings.sweep_s,
            unknown_order_s=settings.unknown_order_s,
        ),
        "timeouts": Timeouts(
            maintenance=gateway.maintenance,
            intake=gateway.intake,
            journal=gateway.stores.journal_streams,
            policies=gateway.policies,
            new_id=gateway.new_id,
            clock=gateway.clock,
            rounds=rounds["timeouts"],
        ),
        "parked": ParkedRows(maintenance=gateway.maintenance, rounds=rounds["parked"]),
        "exceptions": ExceptionFinder(
            store=Exceptions(
                pool=gateway.stores.primary, sealer=gateway.stores.sealer, new_id=gateway.new_id
            ),
            policies=exception_cases.configured(settings.exceptions),
            part_paid_s=settings.part_paid_s,
            new_id=gateway.new_id,
            clock=gateway.clock,
            rounds=rounds["exceptions"],
        ),
        "missed": Missed(
            missed_orders=MissedOrders(pool=gateway.stores.primary),
            targets=lambda: _accepting(live),
            clock=gateway.clock,
            rounds=rounds["missed"],
        ),
        "recheck": Recheck(
            store=RecheckStore(pool=gateway.stores.primary, new_id=gateway.new_id),
            scan=ScanStore(readers=gateway.readers, pool=gateway.stores.primary),
            intake=gateway.intake,
            zone=zones.zone(settings.business_zone),
            recheck_s=settings.recheck_s,
            clock=gateway.clock,
            rounds=rounds["recheck"],
        ),
        "nightly": _nightly(gateway, rounds["nightly"]),
        "housekeeper": Housekeeper(
            maintenance=gateway.maintenance,
            clock=gateway.clock,
            rounds=rounds["housekeeper"],
            months={
                "raw_messages": settings.raw_months,
                "delivery_attempts": settings.attempts_months,
                "order_changes": settings.changes_months,
            },
            rejected_retention_h=settings.refused_keep_h,
            rejected_rows_max=settings.refused_rows_max,
        ),
    }


def _accepting(targets: Targets) -> list[AcceptingTarget]:
    return missed_orders.accepting([each.target for each in targets.now.values()])


def _alerts(
    gateway: Gateway, live: Targets, rounds: dict[str, Rounds]
) -> dict[str, lifecycle.Task]:
    """Return the task that tells people, where any channel is configured."""
    settings, stores, clock = gateway.settings, gateway.stores, gateway.clock
    if not settings.alert_channels:
        del rounds["alerts"]
        return {}
    if fault := alert_settings.fault(
        settings.alerts, [each.name for each in settings.alert_channels]
    ):
        raise SettingsError(f"alerts: {fault}")
    ledger = Alerts(pool=stores.primary_reads, claim_s=CLAIM_S, repeat_s=REPEAT_S)
    redis = (
        AlertClaims(
            url=settings.redis_url, call_s=settings.redis_s, claim_s=CLAIM_S, repeat_s=REPEAT_S
        )
        if settings.redis_url
        else None
    )
    stored = MissedOrders(pool=stores.primary_reads)

    async def missed() -> float:
        counts = await stored.counts(_accepting(live), clock.now())
        return float(sum(each.orders for each in counts))

    alerting = Alerting(
        figures=Figures(
            ledger=ledger,
            missed=missed,
            states=stores.process_states,
            journal=gateway.journal_monitor,
            faults=lambda: [task for task, each in rounds.items() if each.fault()],
        ),
        rules=alert_settings.rules(settings.alerts),
        channels=alert_channels.open_channels(settings.alert_channels, clock=clock),
        book=AlertBook(ledger=ledger, redis=redis, clock=clock),
        clock=clock,
        rounds=rounds["alerts"],
        runbook_url=settings.runbook_url,
    )
    return {"alerts": alerting}


def _nightly(gateway: Gateway, rounds: Rounds) -> Nightly:
    settings = gateway.settings
    return Nightly(
        scan=nightly_scan.scan_of(gateway),
        runs=nightly_scan.runs_of(gateway.stores.primary, holder=nightly_scan.NOBODY),
        at=time.fromisoformat(settings.nightly_at),
        zone=zones.zone(settings.business_zone),
        clock=gateway.clock,
        rounds=rounds,
    )


def _status(gateway: Gateway, rounds: Mapping[str, Rounds]) -> dict[str, lifecycle.Task]:
    settings = gateway.settings
    if not settings.worker_metrics_port:
        return {}
    listener = StatusListener(
        host=settings.worker_metrics_host,
        port=settings.worker_metrics_port,
        faults=lambda: {
            task: rounds[task].fault() if task in rounds else NOT_CONFIGURED for task in _OVERDUE_S
        },
        rendering=metrics.Rendering(clock=gateway.clock),
    )
    return {"status": listener}


def _hand_off(
    gateway: Gateway, targets: Targets, rounds: Mapping[str, Rounds]
) -> dict[str, lifecycle.Task]:
    stores, settings = gateway.stores, gateway.settings
    deliveries = Deliveries(pool=stores.hand_off, new_id=gateway.new_id)
    woken = asyncio.Event()
    dispatcher = Dispatcher(
        targets=targets,
        deliveries=deliveries,
        orders=OrdersToTell(pool=stores.hand_off, sealer=stores.sealer),
        # A new one at each start: it ends no attempt of an earlier process.
        claimant=gateway.new_id(),
        clock=gateway.clock,
        rounds=rounds["dispatcher"],
        drain_s=settings.drain_s * _SENDING_SHARE,
        on_accepted=woken.set,
    )
    return {
        "outbox": OutboxListener(
            connect=functools.partial(pools.connect_to_signal, settings), woken=woken
        ),
        "relay": Relay(
            # Unlike the dispatcher's, its commits are on disk before anybody sees them: a follower
            # of the feed must not have read what is undone.
            store=RelayStore(pool=stores.primary),
            targets=targets,
            woken=woken,
            wake=dispatcher.wake,
            clock=gateway.clock,
            rounds=rounds["relay"],
        ),
        "dispatcher": dispatcher,
        "deliveries": HandOffGauges(deliveries=deliveries, rounds=rounds["deliveries"]),
    }


def _drainer(gateway: Gateway, rounds: Rounds) -> Drainer:
    """Return a drainer with an intake of its own: what it drains must not be journaled again."""
    settings, stores = gateway.settings, gateway.stores
    assert stores.journal_streams is not None, "only asked for where there is a journal"
    ledger = Ledger(
        pool=stores.primary,
        sealer=stores.sealer,
        new_id=gateway.new_id,
        is_late=True,
        takes_parts=channels.takes_parts(gateway.policies),
        signal=gateway.outbox_signal,
        rules=gateway.rules,
    )
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
        rounds=rounds,
        # A new name at each start: entries of an earlier one are taken over, not mixed with these.
        consumer=str(gateway.new_id()),
    )
