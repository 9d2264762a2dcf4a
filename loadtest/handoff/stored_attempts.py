"""Millions of delivered attempts in the log, as a year of sales leaves them."""

import time
from collections.abc import Callable

from loadtest.bench import databases
from loadtest.handoff.tidegate_worker import Deployment

#: Over so many months before this one.
MONTHS = 12
_KEPT = "TIDEGATE_ATTEMPTS_MONTHS"
_BATCH = 500_000
_PARTITIONS = f"""
DO $$
DECLARE month date;
BEGIN
    FOR n IN 0..{MONTHS} LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => n);
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS %I PARTITION OF delivery_attempts'
            ' FOR VALUES FROM (%L) TO (%L)',
            'delivery_attempts_' || to_char(month, 'YYYY_MM'),
            month::timestamp AT TIME ZONE 'UTC',
            (month + interval '1 month')::timestamp AT TIME ZONE 'UTC'
        );
    END LOOP;
END
$$
"""
#: From the oldest month on, as time would have written them.
_ATTEMPTS = """
INSERT INTO delivery_attempts (target, event_id, order_id, topic, version, attempt, started_at,
                               took_ms, outcome, status_code)
SELECT 'warehouse', gen_random_uuid(), gen_random_uuid(), 'order.paid', 2, 1,
       now() - make_interval(days => 365) * (1 - n::float8 / {total}), 12, 'delivered', 200
  FROM generate_series({first}, {last}) n
"""
_OLD = """
SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'delivery_attempts'::regclass AND c.relname ~ '_20\\d\\d_\\d\\d$'
   AND right(c.relname, 7) < to_char(now() - make_interval(months => {kept}), 'YYYY_MM')
"""


def fill(deployment: Deployment, count: int, *, say: Callable[[str], None]) -> None:
    """Store so many delivered attempts, of the last twelve months; all of them are kept."""
    deployment.variables[_KEPT] = str(MONTHS)
    databases.execute(deployment.database_url, _PARTITIONS)
    for first in range(1, count + 1, _BATCH):
        last = min(first + _BATCH - 1, count)
        databases.execute(
            deployment.database_url, _ATTEMPTS.format(first=first, last=last, total=count)
        )
        say(f"  {last:,} of {count:,} attempts stored")
    databases.execute(deployment.database_url, "ANALYZE delivery_attempts")


def drop_seconds(deployment: Deployment, *, kept_months: int, within_s: float = 120.0) -> float:
    """Return the seconds until a worker with the default retention has dropped the old months."""
    del deployment.variables[_KEPT]
    began_s = time.monotonic()
    query = _OLD.format(kept=kept_months)
    with deployment.worker():
        while databases.number(deployment.database_url, query):
            if time.monotonic() - began_s > within_s:
                return float("inf")
            time.sleep(0.1)
    return time.monotonic() - began_s
