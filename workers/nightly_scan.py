"""The nightly scan: payments against orders over a business day, and what stays unsettled.

Read page by page by ids, which say when a row arrived; every page is one snapshot, so that what
changes meanwhile is no finding. The same scan, run again, finds the same and notes it once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import business_days, scanning
from gateway.domain.errors import TidegateError
from gateway.domain.scanning import EXAMPLES_MAX, Finding, ScanReport, Totals, Window
from gateway.runtime import zones
from gateway.runtime.clock import Clock
from gateway.runtime.settings import Settings
from gateway.stores.postgres.daily_runs import DailyRuns
from gateway.stores.postgres.read_limiter import Pool
from gateway.stores.postgres.scan import HeldPlace, Open, ScanStore
from gateway.wiring import Gateway

_log = logging.getLogger(__name__)

TASK = "scan"
#: Seconds without news after which another process may begin the same scan.
LEASE_S = 120.0
_PAGE = 1000
#: The holder of no run, for who only reads.
NOBODY = UUID(int=0)


class ScanRules(Struct, frozen=True):
    """``back``: how much of the time before a business day is looked at again.

    ``owed_for``: how long money may be owed; ``waits_for``: how long an event may wait for its
    order; ``zone``: that of the business day.
    """

    zone: tzinfo
    back: timedelta
    owed_for: timedelta
    waits_for: timedelta


class Interrupted(TidegateError):
    """The scan did not end: it is another process's now, or this one is to stop."""


def rules_of(settings: Settings) -> ScanRules:
    """Return the rules of a scan as they are configured."""
    return ScanRules(
        zone=zones.zone(settings.business_zone),
        back=timedelta(days=settings.scan_back_days),
        owed_for=timedelta(hours=settings.refund_owed_h),
        waits_for=timedelta(seconds=settings.unknown_order_s),
    )


def runs_of(pool: Pool, *, holder: UUID) -> DailyRuns:
    """Return the runs of the scan, for a process. ``holder``: a new id at each start."""
    return DailyRuns(pool=pool, task=TASK, holder=holder, lease_s=LEASE_S)


class NightlyScan:
    """Scans a business day. ``stopping``, when it is set, gives the day back unfinished."""

    def __init__(
        self, *, store: ScanStore, runs: DailyRuns, clock: Clock, rules: ScanRules
    ) -> None:
        self._store = store
        self._runs = runs
        self._clock = clock
        self._rules = rules

    async def run(
        self, day: date, *, stopping: asyncio.Event, again: bool = False
    ) -> ScanReport | None:
        """Scan a business day; return its report, or None where another process scans or did.

        ``again``: also where it was scanned. Raises ``Unavailable`` and ``Interrupted``: the day
        is given back then.
        """
        if not await self._runs.claim(day, again=again):
            return None
        try:
            report = await _Run(self._store, self._runs, self._clock, self._rules, day).scan(
                stopping
            )
        except BaseException:
            await self._release(day)
            raise
        if not await self._runs.finish(day, report):
            raise Interrupted(f"the scan of {day} was taken over by another process")
        _log.info(
            "scanned", extra={"day": str(day), "found": sum(report.found.values()),
                              "new": sum(report.new.values()), "ended": report.ended},
        )  # fmt: skip
        return report

    async def _release(self, day: date) -> None:
        # Without an answer another process takes it over when the claim is over.
        with contextlib.suppress(TidegateError):
            await self._runs.release(day)


def scan_of(gateway: Gateway) -> NightlyScan:
    """Return the scan of a process."""
    return NightlyScan(
        store=ScanStore(readers=gateway.readers, pool=gateway.stores.primary),
        runs=runs_of(gateway.stores.primary, holder=gateway.new_id()),
        clock=gateway.clock,
        rules=rules_of(gateway.settings),
    )


class _Run:
    """One scan of one day."""

    def __init__(
        self, store: ScanStore, runs: DailyRuns, clock: Clock, rules: ScanRules, day: date
    ) -> None:
        self._store = store
        self._runs = runs
        self._day = day
        self._now = clock.now()
        self._owed_before = self._now - rules.owed_for
        self._waits_since = self._now - rules.waits_for
        self._window = scanning.window(business_days.bounds(day, rules.zone), rules.back)
        self._report = _empty(day, self._window)
        #: What was found already: an order may be met as a payment's, by itself, and as held.
        self._seen: set[tuple[str, UUID]] = set()

    async def scan(self, stopping: asyncio.Event) -> ScanReport:
        for step in (
            self._scan_payments, self._scan_orders, self._scan_held, self._scan_waiting,
            self._look_again,
        ):  # fmt: skip
            await step(stopping)
        return self._report

    async def _scan_payments(self, stopping: asyncio.Event) -> None:
        after = scanning.first_id(self._window.from_at)
        before = scanning.first_id(self._window.until_at)
        # What came just now may still find its order.
        settled = scanning.first_id(self._waits_since)
        while page := await self._store.payments(after, before, _PAGE):
            after = page[-1][0]
            self._report.totals.payments += len(page)
            lonely = [id_ for id_, order_id in page if order_id is None and id_ < settled]
            orders = sorted({order_id for _, order_id in page if order_id is not None})
            await self._note([
                *await self._store.check_payments(lonely),
                *await self._store.check_orders(orders, self._owed_before),
            ])  # fmt: skip
            await self._go_on(stopping, "payments")

    async def _scan_orders(self, stopping: asyncio.Event) -> None:
        after = scanning.first_id(self._window.from_at)
        before = scanning.first_id(self._window.until_at)
        while page := await self._store.orders(after, before, _PAGE):
            after = page[-1]
            self._report.totals.orders += len(page)
            await self._note(await self._store.check_orders(page, self._owed_before))
            await self._go_on(stopping, "orders")

    async def _scan_held(self, stopping: asyncio.Event) -> None:
        after: HeldPlace | None = None
        while page := await self._store.held(after, _PAGE):
            after = page[-1]
            self._report.totals.held += len(page)
            ids = [each.id for each in page]
            await self._note(await self._store.check_orders(ids, self._owed_before))
            await self._go_on(stopping, "held")

    async def _scan_waiting(self, stopping: asyncio.Event) -> None:
        after = NOBODY
        while page := await self._store.waiting(after, self._waits_since, _PAGE):
            after = page[-1].subject
            self._report.totals.waiting += len(page)
            await self._note(page)
            await self._go_on(stopping, "waiting")

    async def _look_again(self, stopping: asyncio.Event) -> None:
        """End what was found before and is not so any more; count what still is."""
        after: Open | None = None
        while page := await self._store.open_findings(after, _PAGE):
            after = page[-1]
            found = await self._checked(page)
            true = {(each.kind, each.subject) for each in found}
            self._report.ended += await self._store.end(
                [each for each in page if (each.kind, each.subject) not in true]
            )
            await self._note(found)
            await self._go_on(stopping, "open findings")

    async def _checked(self, page: Sequence[Open]) -> list[Finding]:
        waiting = [each for each in page if each.kind == "waiting_too_long"]
        payments = [each.subject for each in page if each.kind == "payment_without_order"]
        orders = sorted({each.subject for each in page} - {each.subject for each in waiting}
                        - set(payments))  # fmt: skip
        still = await self._store.still_waiting([each.subject for each in waiting])
        known = {(each.kind, each.subject) for each in page}
        found = [
            *await self._store.check_payments(payments),
            *await self._store.check_orders(orders, self._owed_before),
        ]
        kept = [each for each in found if (each.kind, each.subject) in known]
        # Nothing is known of these beside that they wait: what was written stays.
        kept += [
            Finding("waiting_too_long", each.subject, each.order_id, "", "", "")
            for each in waiting
            if each.subject in still
        ]
        return kept

    async def _note(self, found: Sequence[Finding]) -> None:
        report = self._report
        new = [each for each in found if (each.kind, each.subject) not in self._seen]
        self._seen.update((each.kind, each.subject) for each in new)
        report.found = scanning.merged(report.found, [each.kind for each in new])
        report.examples += new[: EXAMPLES_MAX - len(report.examples)]
        written = [each for each in new if each.detail]
        report.new = scanning.merged(report.new, await self._store.write(written, self._day))

    async def _go_on(self, stopping: asyncio.Event, part: str) -> None:
        progress = {"part": part, **msgspec.to_builtins(self._report.totals)}
        if not await self._runs.renew(self._day, progress):
            raise Interrupted(f"the scan of {self._day} was taken over by another process")
        if stopping.is_set():
            raise Interrupted(f"the scan of {self._day} is left to another process")


def _empty(day: date, window: Window) -> ScanReport:
    return ScanReport(day, window.from_at, window.until_at, Totals(), {}, {}, 0, [])
