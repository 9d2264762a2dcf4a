"""Standard Webhooks over HTTP into the ledger: what each story comes to, however it arrives."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.providers.contract import Message
from gateway.runtime.settings import Account
from tests.providers.standard_webhooks_samples import SECRET, signed
from tests.support.site import Site
from tests.web import stories
from tests.web.stories import Story

PATH = "/v1/callbacks/standard_webhooks/main"
BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    (tmp_path / "sender").write_text(SECRET)
    secrets = [f"file:{tmp_path / 'sender'}"]
    return [Account(provider="standard_webhooks", name="main", channels=["web"], secrets=secrets)]


class Teller:
    """A sender, telling of one order: each message a minute after the one before."""

    def __init__(self, serial: str, order_no: str) -> None:
        self._serial = serial
        self._order_no = order_no
        self.told: list[Message] = []

    def tell(self, kind: str, **data: Any) -> "Teller":
        n = len(self.told) + 1
        content = {
            "type": kind,
            "timestamp": (BEGUN + timedelta(minutes=n)).isoformat(),
            "data": {"order_no": self._order_no} | data,
        }
        now_s = int(datetime.now(UTC).timestamp())
        self.told.append(signed(content, key=f"msg_{self._serial}_{n}", at=now_s))
        return self

    def money(self, kind: str, amount: str, of: str = "", **data: Any) -> "Teller":
        numbers = {"transaction_id": f"TX{self._serial}{of}", "currency": "CNY"}
        return self.tell(kind, amount=amount, **numbers | data)

    def paid(self, amount: str, no: str = "") -> "Teller":
        return self.money("payment.succeeded", amount, no)

    def dispute(self, state: str, amount: str) -> "Teller":
        return self.money(f"dispute.{state}", amount, dispute_no="D-1")

    def parcel(self, n: int) -> "Teller":
        return self.tell("order.shipped", carrier="SF", tracking_no=f"SF{self._serial}{n}")

    def arrived(self, n: int) -> "Teller":
        return self.tell("order.delivered", tracking_no=f"SF{self._serial}{n}")


def told(tells: Callable[[Teller], Teller]) -> Callable[[str, str], Sequence[Message]]:
    return lambda serial, order_no: tells(Teller(serial, order_no)).told


STORIES = {
    "a deposit and the balance": Story(
        "199.00", told(lambda t: t.paid("60.00", "A").paid("139.00", "B")), "paid", "199.00"
    ),
    "a deposit": Story("199.00", told(lambda t: t.paid("60.00")), "pending_payment", "60.00"),
    "a refund fails": Story(
        "199.00",
        told(
            lambda t: t.paid("199.00").money("refund.succeeded", "9.00", refund_no="R-1")
            .money("refund.failed", "9.00", refund_no="R-1")
        ),
        "paid", "199.00", "0", None, ("refund_failed",),
    ),
    "disputed": Story(
        "199.00",
        told(lambda t: t.paid("199.00").dispute("opened", "50.00")),
        "paid", "199.00", "0", "disputed",
    ),
    "disputed and won": Story(
        "199.00",
        told(lambda t: t.paid("199.00").dispute("opened", "50.00").dispute("won", "50.00")),
        "paid", "199.00",
    ),
    "disputed and lost": Story(
        "199.00",
        told(lambda t: t.paid("199.00").dispute("opened", "199.00").dispute("lost", "199.00")),
        "refunded", "199.00", "199.00",
    ),
    "two parcels, one arrives": Story(
        "199.00",
        told(lambda t: t.paid("199.00").parcel(1).parcel(2).arrived(1)),
        "shipped", "199.00",
    ),
    "accepted by the warehouse, then shipped": Story(
        "199.00", told(lambda t: t.paid("199.00").tell("order.accepted").parcel(1)),
        "shipped", "199.00",
    ),
    "two parcels arrive": Story(
        "199.00",
        told(lambda t: t.paid("199.00").parcel(1).parcel(2).arrived(1).arrived(2)),
        "completed", "199.00",
    ),
    "two parcels, the whole order arrives": Story(
        "199.00",
        told(lambda t: t.paid("199.00").parcel(1).parcel(2).tell("order.delivered")),
        "completed", "199.00",
    ),
    "delivered, and never shipped": Story(
        "199.00", told(lambda t: t.paid("199.00").tell("order.delivered")), "completed", "199.00"
    ),
    "cash on delivery": Story(
        "199.00",
        told(
            lambda t: t.tell("order.pays_on_delivery").parcel(1).arrived(1).paid("199.00")
        ),
        "completed", "199.00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_ends_the_same_in_any_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    await stories.check(site, ledger, STORIES[name], path=PATH, currency="CNY")


async def test_a_shape_of_its_own_is_kept_and_parked(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """A true signature, and data or a type that nobody documented: never 400, never lost."""
    teller = Teller("own", "SW-1")
    teller.tell("order.paid", order_no=None, total=199).tell("payment.settled", sum="199.00")
    for message in teller.told:
        await stories.post(site, PATH, message)
    rows = await ledger.fetch(
        """
        SELECT p.reason, e.action AS kind,
               (SELECT count(*) FROM raw_messages r WHERE r.id = e.id) AS kept
          FROM order_events e JOIN parked p USING (source, source_key)
         WHERE e.source_key LIKE 'msg_own%' ORDER BY e.source_key
        """
    )
    assert [tuple(row) for row in rows] == [
        ("unmapped", "order.paid", 1),
        ("unmapped", "payment.settled", 1),
    ]
