"""What a page of orders reads: an index finds it among the many that are not asked for."""

import re
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from gateway.stores.postgres.statements import sql
from ops.embedded.cluster import Servers
from tests.support import databases

ROWS = 20_000
#: Orders of the month before 2026-11-30, half of them paid and shipped, one a minute or two.
_FILL = f"""
INSERT INTO orders (
    id, channel, order_no, payload_digest, lookalike, status, currency, goods, shop_discount,
    platform_subsidy, freight, payable, paid, buyer_id, country, province, city, district,
    phone_index, items, private, placed_at, received_at, updated_at, paid_at
)
SELECT gen_random_uuid(), 'web', 'W-' || n, '', '', CASE WHEN n % 2 = 0 THEN 'paid'
       ELSE 'pending_payment' END, 'CNY', 1, 0, 0, 0, 1, n % 2, 'b-' || n % 5000, 'CN',
       'Zhejiang', 'Hangzhou', 'Xihu', 'x', '[]', '', at, at, at,
       CASE WHEN n % 2 = 0 THEN at + interval '1 hour' END
  FROM generate_series(1, {ROWS}) n,
       LATERAL (SELECT '2026-11-30Z'::timestamptz - make_interval(secs => n * 125.0) AS at) t;
INSERT INTO payments (
    id, provider, source, transaction_id, order_id, order_no, currency, amount, standing, paid_at
)
SELECT gen_random_uuid(), p, p || ':main', 'T-' || order_no, id, order_no, 'CNY', 1, 'applied',
       paid_at
  FROM orders, LATERAL (SELECT CASE WHEN order_no < 'W-5' THEN 'stripe' ELSE 'adyen' END AS p) p
 WHERE paid_at IS NOT NULL;
INSERT INTO payment_names (provider, name, payment_id)
SELECT provider, 'ch_' || transaction_id, id FROM payments;
INSERT INTO parcels (id, order_id, carrier, tracking_no, parcel_no, lines, shipped_at)
SELECT gen_random_uuid(), id, 'SF', 'SF-' || order_no, '', '[]', paid_at
  FROM orders WHERE paid_at IS NOT NULL;
ANALYZE
"""
#: The parameters of ``list_orders.sql`` by their names.
PLACES = {
    "order_no": 2, "placed_from": 4, "placed_to": 5, "after_at": 7, "after_id": 8, "limit": 9,
    "paid_from": 13, "paid_to": 14, "updated_from": 15, "tracking_no": 17, "transaction_id": 18,
    "provider": 19, "buyer_id": 20, "region": 21,
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(servers: Servers, module_database: str) -> str:
    """The URL of a database with many orders."""
    url = databases.admin_url(servers, module_database)
    databases.execute(url, _FILL)
    return url


@pytest.fixture
async def connection(filled: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(filled)
    yield opened
    await opened.close()


def with_values(**wanted: str) -> str:
    """Return the statement with its values in it, as a custom plan has them."""
    values = {PLACES[name]: f"'{value}'" for name, value in wanted.items()}
    values.setdefault(PLACES["limit"], "50")
    text = sql("list_orders")
    for number in range(21, 0, -1):
        text = text.replace(f"${number}", values.get(number, "NULL"))
    return text


def rows_read(plan: list[str]) -> int:
    """Return how many rows the scans of a plan looked at, filtered ones included."""
    found = 0
    for line, *after in zip(plan, plan[1:], plan[2:], plan[3:], plan[4:], strict=False):
        if scan := re.search(r"Scan.*\(actual rows=(\d+)(?:\.\d+)? loops=(\d+)\)", line):
            found += int(scan[1]) * int(scan[2])
            removed = re.search(r"Rows Removed by Filter: (\d+)", "\n".join(_own(after)))
            found += int(removed[1]) * int(scan[2]) if removed else 0
    return found


def _own(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.strip().startswith(("->", "SubPlan", "InitPlan")):
            return
        yield line


@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        ({"tracking_no": "SF-W-4000"}, {"parcels_tracking_no", "orders_pkey"}),
        ({"transaction_id": "T-W-4000"}, {"payments_transaction", "orders_pkey"}),
        ({"transaction_id": "ch_T-W-4000"}, {"payment_names_pkey", "orders_pkey"}),
        ({"transaction_id": "T-W-4000", "provider": "stripe"}, {"payments_transaction"}),
        ({"paid_from": "2026-11-20Z", "paid_to": "2026-11-20 01:00Z"}, {"orders_paid"}),
        ({"paid_from": "2026-11-01Z"}, {"orders_paid"}),
        (
            {
                "paid_from": "2026-11-01Z",
                "after_at": "2026-11-15Z",
                "after_id": "00000000-0000-0000-0000-000000000000",
            },
            {"orders_paid"},
        ),
        ({}, {"orders_placed"}),
    ],
)
async def test_a_page_reads_little_more_than_it_shows(
    connection: "asyncpg.Connection[asyncpg.Record]", wanted: dict[str, str], indexes: set[str]
) -> None:
    await connection.execute("SET jit = off")
    explained = await connection.fetch(
        f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {with_values(**wanted)}"
    )
    plan = [row[0] for row in explained]
    text = "\n".join(plan)
    used = set(re.findall(r"Scan(?: Backward)? (?:using|on) (\w+)", text))
    assert indexes <= used, text
    # A page of 50, and of each order its payments, their names, and so on.
    assert 0 < rows_read(plan) < 500, text
    assert not re.search(r"Seq Scan on (orders|payments|parcels|payment_names)", text), text


@pytest.mark.parametrize(
    "wanted",
    [
        {"buyer_id": "b-7"},
        {"region": "{CN,Zhejiang,Ningbo}"},
        {"provider": "alipay"},
        {"updated_from": "2026-12-01Z"},
    ],
)
async def test_what_no_index_serves_reads_the_time_that_bounds_it(
    connection: "asyncpg.Connection[asyncpg.Record]", wanted: dict[str, str]
) -> None:
    bounds = {"placed_from": "2026-11-20Z", "placed_to": "2026-11-21Z"}
    explained = await connection.fetch(
        f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {with_values(**wanted, **bounds)}"
    )
    plan = [row[0] for row in explained]
    a_day = 24 * 3600 // 125
    assert a_day / 2 < rows_read(plan) < 4 * a_day, "\n".join(plan)
