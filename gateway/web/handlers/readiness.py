"""Readiness: what each part of a process says of itself."""

from gateway.stores.postgres.statements import sql
from gateway.web.handlers.health import Probe
from gateway.wiring import Gateway


def needed(gateway: Gateway) -> dict[str, Probe]:
    """Return what must answer, or else all that there is instead of it."""

    async def probe() -> str:
        try:
            is_standby = await gateway.stores.primary_reads.fetchval(sql("is_standby"))
        except Exception as exc:  # whatever it is, it is the answer to this question
            return f"does not answer ({type(exc).__name__})"
        return "is a standby: point TIDEGATE_DATABASE_URL at the primary" if is_standby else ""

    return {"postgres": probe}


def instead(gateway: Gateway) -> dict[str, Probe]:
    """Return what does while the primary is away: the journal, or a replica for who only reads."""
    return _stale(gateway) if gateway.settings.role == "query" else _journal(gateway)


def helpful(gateway: Gateway) -> dict[str, Probe]:
    """Return what makes things faster and is not needed."""
    if gateway.settings.role == "query":
        return {}

    async def redis() -> str:
        is_answering = await gateway.stores.result_cache.is_answering()
        return "" if is_answering else "does not answer; repeats are recognised by postgres"

    async def replica() -> str:
        lag_s = await gateway.readers.lag_s()
        if lag_s is None:
            return "none answers; reads go to the primary"
        limit_s = gateway.settings.replica_lag_max_s
        return "" if lag_s <= limit_s else f"lags {lag_s:.1f} s; reads go to the primary"

    probes: dict[str, Probe] = {"redis": redis}
    if gateway.stores.replicas:
        probes["replica"] = replica
    return probes


def _journal(gateway: Gateway) -> dict[str, Probe]:
    journal = gateway.journal
    if journal is None:
        return {}

    async def probe() -> str:
        return f"is not used: {journal.reason}" if journal.reason else ""

    return {"journal": probe}


def _stale(gateway: Gateway) -> dict[str, Probe]:
    # While the primary is away, what is read comes from a replica and says how old it is.
    if not gateway.stores.replicas:
        return {}

    async def probe() -> str:
        is_answering = await gateway.readers.lag_s() is not None
        return "" if is_answering else "none answers; reads go to the primary"

    return {"replica": probe}
