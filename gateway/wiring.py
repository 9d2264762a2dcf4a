"""Opens the stores in order, introduces the parts to each other, closes in reverse."""

import functools
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import Struct

from gateway.domain import channels
from gateway.domain.channels import Policies
from gateway.domain.errors import Unavailable
from gateway.domain.screening import Screening
from gateway.intake import channel_policies
from gateway.intake import screening as configured_rules
from gateway.intake.accept import Intake
from gateway.intake.batch_writer import BatchWriter
from gateway.intake.committer import Committer
from gateway.intake.journal import Journal
from gateway.intake.journal_codec import JournalCodec
from gateway.intake.journal_monitor import JournalMonitor
from gateway.intake.rejected_callbacks import RejectedCallbackRecorder
from gateway.intake.remarks import Remarks
from gateway.overload import heartbeats, rate_limit
from gateway.overload.admission import Admission
from gateway.overload.heartbeats import PeerLoads
from gateway.overload.monitor import Monitor
from gateway.overload.overrides import Overrides
from gateway.overload.rate_limit import RateLimits
from gateway.overload.signals import Signals
from gateway.runtime import live
from gateway.runtime.circuit_breaker import CircuitBreaker
from gateway.runtime.clock import Clock, SystemClock
from gateway.runtime.ids import UUIDv7
from gateway.runtime.live import Limits, Live
from gateway.runtime.settings import Settings
from gateway.runtime.watchdog import Watchdog
from gateway.stores import sealing
from gateway.stores.override_spool import OverrideSpool
from gateway.stores.postgres import key_ring, pools
from gateway.stores.postgres import remarks as stored_remarks
from gateway.stores.postgres.key_ring import RingCheck, WrongKeyRing
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.local_overrides import LocalOverrides
from gateway.stores.postgres.maintenance import Maintenance
from gateway.stores.postgres.outbox_signal import OutboxSignal
from gateway.stores.postgres.overrides import OverrideStore
from gateway.stores.postgres.rejected_callbacks import RejectedCallbacks
from gateway.stores.postgres.replicas import Readers
from gateway.stores.redis.journal_streams import JournalStreams
from gateway.stores.redis.process_states import ProcessStates
from gateway.stores.redis.rate_limit_totals import RateLimitTotals
from gateway.stores.redis.result_cache import Connections, NoResultCache, ResultCache

_log = logging.getLogger(__name__)


class Stores(Struct):
    """The opened stores."""

    primary: "asyncpg.Pool[asyncpg.Record]"
    primary_reads: "asyncpg.Pool[asyncpg.Record]"
    replicas: list["asyncpg.Pool[asyncpg.Record]"]
    result_cache: ResultCache | NoResultCache
    #: The journal's; None where no Redis is configured.
    journal_streams: JournalStreams | None
    #: The snapshots of all processes; None where no Redis is configured.
    process_states: ProcessStates | None
    #: What all processes admitted under rate limits; None where no Redis is configured.
    rate_limit_totals: RateLimitTotals | None
    sealer: sealing.Sealer
    #: For a dispatcher; nothing connects where there is none.
    hand_off: "asyncpg.Pool[asyncpg.Record]"


class Gateway(Struct):
    """The parts of a process: the intake, what protects it from overload, and the stores."""

    #: As they were at the start. What a reload can change is read from ``limits``,
    #: ``policies`` and ``rules``.
    settings: Settings
    limits: Live[Limits]
    #: The rules of each channel, that ``intake`` goes by.
    policies: Live[Policies]
    #: The screening rules that orders are tried against.
    rules: Live[Screening]
    clock: Clock
    new_id: UUIDv7
    stores: Stores
    committer: Committer
    intake: Intake
    remarks: Remarks
    journal_monitor: JournalMonitor | None
    admission: Admission
    load_monitor: Monitor
    #: The back load that other processes published.
    peer_loads: PeerLoads
    #: The rate limit of each API key.
    key_rate_limits: RateLimits
    #: The rate limits of the channels that have one, by name.
    channel_rate_limits: Live[Mapping[str, RateLimits]]
    overrides: Overrides
    override_store: OverrideStore
    rejected_callbacks: RejectedCallbackRecorder
    readers: Readers
    maintenance: Maintenance
    ring_check: RingCheck
    #: Tells the relay of what was staged.
    outbox_signal: OutboxSignal


@asynccontextmanager
async def open_gateway(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """Open the parts of a process. On exit, accepted events are finished before the stores close.

    Raises ``Unavailable`` when the primary does not answer, there is no journal to use instead
    and the role is not ``query``; ``SealingError`` without a keyring, ``WrongKeyRing`` with one
    that is not the database's.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        loaded = key_ring.load(settings.keyring_file)
        sealer = loaded.sealer
        ring_check = RingCheck(
            loaded=loaded,
            connect=functools.partial(pools.connect_once, settings),
            is_sealing=settings.role != "query",
        )
        streams = _open_streams(settings, stack)
        journal: Journal | None = None
        monitor: JournalMonitor | None = None
        if streams is not None:
            monitor = JournalMonitor(
                streams=streams, clock=clock, settings=settings, key_ring=ring_check
            )
            await monitor.check()
            journal = Journal(
                streams=streams,
                codec=JournalCodec(sealer=sealer),
                monitor=monitor,
                claim_s=settings.journal_claim_s,
            )
        is_usable = monitor is not None and monitor.is_usable
        stores = Stores(
            # A gateway that starts in an outage journals until it is over; one that only reads
            # uses a replica, or waits.
            await _open_writers(
                settings,
                stack,
                ring_check,
                is_lazy=is_usable or settings.role == "query",
            ),
            _closing(await pools.open_readers(settings), stack),
            [
                _closing(await pools.open_replica(url, settings), stack)
                for url in pools.replica_urls(settings)
            ],
            _open_results(settings, clock, stack),
            streams,
            _open_states(settings, stack),
            _open_totals(settings, stack),
            sealer,
            _closing(await pools.open_hand_off(settings), stack),
        )
        outbox_signal = OutboxSignal(
            connect=functools.partial(pools.connect_to_signal, settings),
            is_on=bool(settings.targets),
        )
        stack.push_async_callback(outbox_signal.close)
        new_id = UUIDv7()
        policies: Live[Policies] = Live(channel_policies.of(settings))
        rules = Live(configured_rules.load(settings))
        ledger = Ledger(
            pool=stores.primary,
            sealer=stores.sealer,
            new_id=new_id,
            is_late=False,
            takes_parts=channels.takes_parts(policies),
            signal=outbox_signal,
            rules=rules,
        )
        writer = batch_writer(ledger, journal, clock=clock, settings=settings)
        committer = Committer(
            writer=writer,
            cache=stores.result_cache,
            settings=settings,
            is_draining=False,
        )
        stack.push_async_callback(committer.drain)
        readers = Readers(
            primary=stores.primary_reads,
            replicas=stores.replicas,
            clock=clock,
            wait_s=settings.replica_wait_s,
            query_s=settings.query_s,
        )
        override_store = OverrideStore(pool=stores.primary)
        overrides = Overrides(
            ledger=override_store,
            local=LocalOverrides(
                spool=OverrideSpool(directory=Path(settings.control_dir)),
                store=override_store,
                clock=clock,
            ),
            clock=clock,
        )
        peer_loads = PeerLoads()
        watchdog = Watchdog(clock=clock)
        limits = Live(live.limits(settings))
        admission = Admission(
            committer=committer,
            overrides=overrides,
            watchdog=watchdog,
            clock=clock,
            is_acting=settings.shedding == "act",
        )
        yield Gateway(
            settings=settings,
            limits=limits,
            policies=policies,
            rules=rules,
            clock=clock,
            new_id=new_id,
            stores=stores,
            committer=committer,
            intake=Intake(
                committer=committer,
                clock=clock,
                new_id=new_id,
                policies=policies,
            ),
            remarks=Remarks(
                store=stored_remarks.Remarks(
                    pool=stores.primary,
                    sealer=stores.sealer,
                    new_id=new_id,
                    edit_s=settings.commit_s,
                    signal=outbox_signal,
                ),
                clock=clock,
            ),
            journal_monitor=monitor,
            admission=admission,
            load_monitor=Monitor(
                admission=admission,
                signals=Signals(
                    admission=admission,
                    committer=committer,
                    journal=monitor,
                    commits_s=writer.commits_s,
                    readers=readers,
                    peers=peer_loads,
                    limits=limits,
                ),
                overrides=overrides,
                watchdog=watchdog,
                clock=clock,
            ),
            peer_loads=peer_loads,
            key_rate_limits=RateLimits(
                rate=settings.key_requests_per_s_max, burst=settings.key_burst
            ),
            channel_rate_limits=Live(
                rate_limit.by_channel(settings.channels, before={}, now_s=clock.monotonic_s())
            ),
            overrides=overrides,
            override_store=override_store,
            rejected_callbacks=RejectedCallbackRecorder(
                store=RejectedCallbacks(pool=stores.primary, sealer=stores.sealer),
                new_id=new_id,
                limits=limits,
            ),
            readers=readers,
            maintenance=Maintenance(pool=stores.primary),
            ring_check=ring_check,
            outbox_signal=outbox_signal,
        )


class Replaying(Struct):
    """What replays go through: an intake of their own, and its ledger, to ask what would happen."""

    intake: Intake
    ledger: Ledger
    committer: Committer


def replaying(
    *,
    pool: "asyncpg.Pool[asyncpg.Record]",
    sealer: sealing.Sealer,
    settings: Settings,
    policies: Live[Policies],
    clock: Clock,
    new_id: UUIDv7,
) -> Replaying:
    """Return an intake as a drainer has it: that something was journaled is no answer to it.

    Nothing is journaled, and no cache is asked: what it answers is in the ledger.
    """
    ledger = Ledger(
        pool=pool,
        sealer=sealer,
        new_id=new_id,
        is_late=True,
        takes_parts=channels.takes_parts(policies),
    )
    committer = Committer(
        writer=batch_writer(ledger, None, clock=clock, settings=settings),
        cache=NoResultCache(),
        settings=settings,
        is_draining=True,
    )
    intake = Intake(committer=committer, clock=clock, new_id=new_id, policies=policies)
    return Replaying(intake, ledger, committer)


def batch_writer(
    ledger: Ledger, journal: Journal | None, *, clock: Clock, settings: Settings
) -> BatchWriter:
    """Return a writer of batches to a ledger, with a circuit breaker of its own."""
    return BatchWriter(
        ledger=ledger,
        fallback=journal,
        # Batches are few and big: two that fail within two seconds are enough.
        breaker=CircuitBreaker(
            window_s=2.0,
            calls_min=2,
            failed_share=0.5,
            open_s=0.5,
            open_s_max=5.0,
            probes=3,
            probe_s=10.0,
            jitter=random.random,
        ),
        clock=clock,
        commit_s=settings.commit_s,
        fallback_after_s=settings.journal_after_s,
    )


def _open_streams(settings: Settings, stack: AsyncExitStack) -> JournalStreams | None:
    url = settings.journal_url or settings.redis_url
    if not url:
        return None
    streams = JournalStreams(url=url, shards=settings.journal_shards, call_s=settings.journal_s)
    stack.push_async_callback(streams.close)
    return streams


async def _open_writers(
    settings: Settings, stack: AsyncExitStack, ring_check: RingCheck, *, is_lazy: bool
) -> "asyncpg.Pool[asyncpg.Record]":
    """Connect to the primary; a lazy pool opens also where it does not answer."""
    open_pool = functools.partial(pools.open_writers, settings, on_connect=ring_check.on_connect)
    try:
        pool = await open_pool(is_lazy=False)
    except WrongKeyRing:
        raise
    except Unavailable:
        if not is_lazy:
            raise
        _log.error("postgres does not answer: starting without it")
        pool = await open_pool(is_lazy=True)
    return _closing(pool, stack)


def _open_results(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> ResultCache | NoResultCache:
    if not settings.redis_url:
        return NoResultCache()
    results = ResultCache(
        connections=Connections(settings.redis_url, call_s=settings.redis_s),
        clock=clock,
        ttl_s=settings.results_ttl_s,
        pause_s=settings.redis_pause_s,
    )
    stack.push_async_callback(results.close)
    return results


def _open_states(settings: Settings, stack: AsyncExitStack) -> ProcessStates | None:
    if not settings.redis_url:
        return None
    states = ProcessStates(
        url=settings.redis_url, call_s=settings.redis_s, expires_s=heartbeats.EXPIRES_S
    )
    stack.push_async_callback(states.close)
    return states


def _open_totals(settings: Settings, stack: AsyncExitStack) -> RateLimitTotals | None:
    if not settings.redis_url:
        return None
    totals = RateLimitTotals(
        url=settings.redis_url,
        call_s=settings.redis_s,
        half_s=rate_limit.HALF_S,
    )
    stack.push_async_callback(totals.close)
    return totals


def _closing(
    pool: "asyncpg.Pool[asyncpg.Record]", stack: AsyncExitStack
) -> "asyncpg.Pool[asyncpg.Record]":
    # Statements that still run had their time in the drain before.
    stack.callback(pool.terminate)
    return pool
