"""The readiness probes of a process: which parts it requires, by role."""

import functools

from gateway.stores.postgres.key_ring import RingCheck
from gateway.stores.postgres.statements import sql
from gateway.web.handlers.health import Probe
from gateway.wiring import Gateway


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
    """Return what replaces the primary in an outage: the journal or, for reads, a replica."""
    return _replica(gateway) if gateway.settings.role == "query" else _journal(gateway)


def optional(gateway: Gateway) -> dict[str, Probe]:
    """Return the parts that make the process faster and are not required."""
    ring: dict[str, Probe] = {"key ring": functools.partial(_key_ring, gateway.ring_check)}
    if gateway.settings.role == "query":
        return ring

    async def redis() -> str:
        is_answering = await gateway.stores.result_cache.is_answering()
        return "" if is_answering else "does not answer; repeats are recognised by postgres"

    async def replica() -> str:
        lag_s = await gateway.readers.lag_s()
        if lag_s is None:
            return "none answers; reads go to the primary"
        limit_s = gateway.settings.replica_lag_max_s
        return "" if lag_s <= limit_s else f"lags {lag_s:.1f} s; reads go to the primary"

    probes: dict[str, Probe] = {**ring, "redis": redis}
    if gateway.stores.replicas:
        probes["replica"] = replica
    return probes


async def _key_ring(check: RingCheck) -> str:
    # No key is needed for this answer: the log has the path and what differs.
    if check.refusal:
        return "is not this database's: the log says what to do"
    return "" if check.is_done else "is not checked until postgres answers"


def _journal(gateway: Gateway) -> dict[str, Probe]:
    journal = gateway.journal_monitor
    if journal is None:
        return {}

    async def probe() -> str:
        return f"is not used: {journal.reason}" if journal.reason else ""

    return {"journal": probe}


def _replica(gateway: Gateway) -> dict[str, Probe]:
    # While the primary is unavailable, reads come from a replica, with their age.
    if not gateway.stores.replicas:
        return {}

    async def probe() -> str:
        is_answering = await gateway.readers.lag_s() is not None
        return "" if is_answering else "none answers; reads go to the primary"

    return {"replica": probe}
