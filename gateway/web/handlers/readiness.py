"""The readiness probes of a process: which parts it requires, by role.

Every part that a role can use has a probe, also one that is not configured: it says so, for "ok"
would be taken for a server that answers.
"""

import functools

from gateway.intake.stock_check import StockCheck
from gateway.stores.postgres.key_ring import RingCheck
from gateway.stores.postgres.statements import sql
from gateway.web.handlers.health import Probe
from gateway.wiring import Gateway

NOT_CONFIGURED = "not configured"


def required(gateway: Gateway) -> dict[str, Probe]:
    """Return the parts that must work, unless all alternatives do."""

    async def probe() -> str:
        try:
            is_standby = await gateway.stores.primary_reads.fetchval(sql("is_standby"))
        except Exception as exc:  # whatever it is, it is the answer of this probe
            return f"does not answer ({type(exc).__name__})"
        return "is a standby: point TIDEGATE_DATABASE_URL at the primary" if is_standby else ""

    return {"postgres": probe}


def alternatives(gateway: Gateway) -> dict[str, Probe]:
    """Return what replaces the primary in an outage: the journal or, for reads, a replica.

    What is not configured replaces nothing, and is no alternative.
    """
    if gateway.settings.role == "query":
        # While the primary is unavailable, reads come from a replica, with their age.
        return {"replica": _replica(gateway)} if gateway.stores.replicas else {}
    return {} if gateway.journal_monitor is None else {"journal": _journal(gateway)}


def optional(gateway: Gateway, stock_check: StockCheck | None) -> dict[str, Probe]:
    """Return the parts that make the process faster and are not required.

    Of the parts that this role can use, what is in neither of the others.
    """
    ring: dict[str, Probe] = {"key ring": functools.partial(_key_ring, gateway.ring_check)}
    if gateway.settings.role == "query":
        every = {**ring, "replica": _replica(gateway)}
    else:
        every = {
            **ring,
            "journal": _journal(gateway),
            "redis": _redis(gateway),
            "replica": _replica(gateway),
            "inventory": _inventory(stock_check),
        }
    return {name: each for name, each in every.items() if name not in alternatives(gateway)}


async def _key_ring(check: RingCheck) -> str:
    # No key is needed for this answer: the log has the path and what differs.
    if check.refusal:
        return "is not this database's: the log says what to do"
    return "" if check.is_done else "is not checked until postgres answers"


async def _not_configured() -> str:
    return NOT_CONFIGURED


def _journal(gateway: Gateway) -> Probe:
    journal = gateway.journal_monitor
    if journal is None:
        return _not_configured

    async def probe() -> str:
        return f"is not used: {journal.reason}" if journal.reason else ""

    return probe


def _redis(gateway: Gateway) -> Probe:
    if not gateway.settings.redis_url:
        return _not_configured

    async def probe() -> str:
        is_answering = await gateway.stores.result_cache.is_answering()
        return "" if is_answering else "does not answer; repeats are recognised by postgres"

    return probe


def _replica(gateway: Gateway) -> Probe:
    if not gateway.stores.replicas:
        return _not_configured

    async def probe() -> str:
        lag_s = await gateway.readers.lag_s()
        if lag_s is None:
            return "none answers; reads go to the primary"
        limit_s = gateway.settings.replica_lag_max_s
        # Where a replica is the alternative to the primary, its age is sent with what it answers.
        if gateway.settings.role == "query" or lag_s <= limit_s:
            return ""
        return f"lags {lag_s:.1f} s; reads go to the primary"

    return probe


def _inventory(stock_check: StockCheck | None) -> Probe:
    if stock_check is None:
        return _not_configured

    async def probe() -> str:
        # Not asked: a probe may come without a key, and each question is work for a shop.
        return "does not answer; orders are accepted unchecked" if stock_check.is_away else ""

    return probe
