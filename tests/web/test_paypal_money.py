"""PayPal's messages over HTTP into the ledger: what each story comes to, however it arrives."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.providers.contract import Message
from gateway.runtime.settings import Account
from tests.providers.paypal_samples import (
    CAPTURE,
    CHAIN,
    DISPUTE,
    REFUND,
    ROOT,
    URL,
    WEBHOOK_ID,
    event,
    pem,
    signed,
)
from tests.support.site import Site
from tests.web import stories
from tests.web.stories import Story

PATH = "/v1/callbacks/paypal/main"
BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)

CAPTURED = "PAYMENT.CAPTURE.COMPLETED"
REFUNDED, FAILED = "PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.FAILED"
REVERSED = "PAYMENT.CAPTURE.REVERSED"
OPENED, RESOLVED = "CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.RESOLVED"

Tells = Callable[[str, str], Sequence[Message]]


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    (tmp_path / "paypal").write_text(WEBHOOK_ID)
    return [
        Account(
            provider="paypal",
            name="main",
            channels=["web"],
            secrets=[f"file:{tmp_path / 'paypal'}"],
            options={"roots": pem(ROOT), "chains": {URL: CHAIN}},
        )
    ]


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


class Teller:
    """PayPal, telling of one order: each message a minute after the one before."""

    def __init__(self, serial: str, order_no: str) -> None:
        self._serial = serial
        self._order_no = order_no
        self.told: list[Message] = []

    def tell(self, kind: str, resource: dict[str, Any]) -> "Teller":
        n = len(self.told) + 1
        at = (BEGUN + timedelta(minutes=n)).isoformat()
        content = event(kind, resource, id=f"WH-{self._serial}-{n}", create_time=at)
        self.told.append(signed(content, at=datetime.now(UTC)))
        return self

    def capture(self, value: str, no: str = "", kind: str = CAPTURED, **more: Any) -> "Teller":
        ids = {"order_id": f"ORDER{self._serial}", "authorization_id": f"AUTH{self._serial}"}
        return self.tell(
            kind,
            CAPTURE
            | {"id": f"CAP{self._serial}{no}", "amount": usd(value), "invoice_id": self._order_no}
            | {"supplementary_data": {"related_ids": ids}}
            | more,
        )

    def completed(self, *values: str) -> "Teller":
        """Tell of the whole order at PayPal, with its captures A, B, ..."""
        captures = [
            CAPTURE | {"id": f"CAP{self._serial}{no}", "amount": usd(value), "invoice_id": None}
            for no, value in zip("AB", values, strict=True)
        ]
        unit = {"invoice_id": self._order_no, "payments": {"captures": captures}}
        return self.tell("CHECKOUT.ORDER.COMPLETED", {"purchase_units": [unit]})

    def refund(
        self,
        value: str,
        no: str = "",
        kind: str = REFUNDED,
        status: str = "COMPLETED",
        of: str = "",
    ) -> "Teller":
        link = f"https://api.paypal.com/v2/payments/captures/CAP{self._serial}{of}"
        return self.tell(
            kind,
            REFUND
            | {"id": f"REF{self._serial}{no}", "amount": usd(value), "status": status}
            | {"links": [{"rel": "up", "href": link, "method": "GET"}]},
        )

    def sale(self, total: str, back: str = "") -> "Teller":
        """Tell of a sale of the older Payments API, or of one of its refunds."""
        number = f"SALE{self._serial}"
        told = {"state": "completed", "amount": {"total": back or total, "currency": "USD"}}
        if back:
            ids = {"id": f"SREF{self._serial}{back}", "sale_id": number}
            return self.tell("PAYMENT.SALE.REFUNDED", told | ids)
        named = {"id": number, "invoice_number": self._order_no}
        return self.tell("PAYMENT.SALE.COMPLETED", told | named)

    def dispute(
        self, value: str, kind: str = OPENED, outcome: str = "", of: str = "", **more: Any
    ) -> "Teller":
        transaction = {"seller_transaction_id": f"CAP{self._serial}{of}"}
        resource = DISPUTE | {
            "dispute_id": f"PP-D-{self._serial}",
            "disputed_transactions": [transaction | {"gross_amount": usd("100.00")}],
            "dispute_amount": usd(value),
        }
        if outcome:
            resource["status"] = "RESOLVED"
            resource["dispute_outcome"] = {"outcome_code": outcome}
        return self.tell(kind, resource | more)


def told(tells: Callable[[Teller], Teller]) -> Tells:
    return lambda serial, order_no: tells(Teller(serial, order_no)).told


LOST, WON = "RESOLVED_BUYER_FAVOUR", "RESOLVED_SELLER_FAVOUR"
EUR = {"receivable_amount": {"currency_code": "EUR", "value": "86.00"}}

STORIES = {
    "two captures": Story(
        "100.00", told(lambda t: t.capture("60.00", "A").capture("40.00", "B")), "paid", "100.00"
    ),
    "two captures, told once more with their order": Story(
        "100.00",
        told(lambda t: t.capture("60.00", "A").capture("40.00", "B").completed("60.00", "40.00")),
        "paid", "100.00",
    ),
    "only told with their order": Story(
        "100.00", told(lambda t: t.completed("60.00", "40.00").refund("60.00", of="A")),
        "paid", "100.00", "60.00",
    ),
    "one of two captures": Story(
        "100.00", told(lambda t: t.capture("60.00", "A")), "pending_payment", "60.00"
    ),
    "two captures, one is refunded": Story(
        "100.00",
        told(lambda t: t.capture("60.00", "A").capture("40.00", "B").refund("40.00", of="B")),
        "paid", "100.00", "40.00",
    ),
    "pending, then completed": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00", kind="PAYMENT.CAPTURE.PENDING", status="PENDING")
            .capture("100.00")
        ),
        "paid", "100.00",
    ),
    "a sale": Story(
        "100.00",
        told(lambda t: t.sale("100.00").sale("100.00", "-30.00").sale("100.00", "5.00")),
        "paid", "100.00", "35.00",
    ),
    "denied": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00", kind="PAYMENT.CAPTURE.PENDING", status="PENDING")
            .capture("100.00", kind="PAYMENT.CAPTURE.DENIED", status="DECLINED")
        ),
        "pending_payment", "0",
    ),
    "voided": Story(
        "100.00",
        told(
            lambda t: t.tell("PAYMENT.AUTHORIZATION.CREATED", {"id": "AUTH"})
            .tell("PAYMENT.AUTHORIZATION.VOIDED", {"id": "AUTH"})
        ),
        "pending_payment", "0",
    ),
    "a part is captured, the rest is voided": Story(
        "60.00",
        told(lambda t: t.capture("60.00").tell("PAYMENT.AUTHORIZATION.VOIDED", {"id": "AUTH"})),
        "paid", "60.00",
    ),
    "two currencies": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00", seller_receivable_breakdown=EUR).refund("30.00")
        ),
        "paid", "100.00", "30.00",
    ),
    "refunds": Story(
        "100.00",
        told(lambda t: t.capture("100.00").refund("30.00", "A").refund("30.00", "B")),
        "paid", "100.00", "60.00",
    ),
    "a refund fails": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00").refund("30.00", "A")
            .refund("30.00", "A", FAILED, "FAILED")
        ),
        "paid", "100.00", "0", None, ("refund_failed",),
    ),
    "a refund fails that never succeeded": Story(
        "100.00",
        told(lambda t: t.capture("100.00").refund("30.00", "A", FAILED, "FAILED")),
        "paid", "100.00", "0", None, ("refund_failed",),
    ),
    "a refund fails, another is made": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00").refund("60.00", "A")
            .refund("60.00", "A", FAILED, "FAILED").refund("25.00", "B")
        ),
        "paid", "100.00", "25.00", None, ("refund_failed",),
    ),
    "reversed": Story(
        "100.00",
        told(lambda t: t.capture("100.00").refund("100.00", "A", REVERSED)),
        "refunded", "100.00", "100.00",
    ),
    "disputed": Story(
        "100.00",
        told(lambda t: t.capture("100.00").dispute("40.00")),
        "paid", "100.00", "0", "disputed",
    ),
    "disputed and won": Story(
        "100.00",
        told(lambda t: t.capture("100.00").dispute("40.00").dispute("40.00", RESOLVED, WON)),
        "paid", "100.00",
    ),
    "disputed and lost": Story(
        "100.00",
        told(lambda t: t.capture("100.00").dispute("100.00").dispute("100.00", RESOLVED, LOST)),
        "refunded", "100.00", "100.00",
    ),
    "disputed and lost in part, also told as a reversal": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00").dispute("40.00").dispute("40.00", RESOLVED, LOST)
            .refund("40.00", "A", REVERSED)
        ),
        "paid", "100.00", "40.00",
    ),
    "reversed at first, then won": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00").refund("100.00", "A", REVERSED).dispute("100.00")
            .dispute("100.00", RESOLVED, WON)
        ),
        "paid", "100.00",
    ),
    "cancelled by the buyer": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00").dispute("40.00")
            .dispute("40.00", "CUSTOMER.DISPUTE.UPDATED", "CANCELED_BY_BUYER")
        ),
        "paid", "100.00",
    ),
    "one of two captures is disputed and lost": Story(
        "100.00",
        told(
            lambda t: t.capture("60.00", "A").capture("40.00", "B").dispute("60.00", of="A")
            .dispute("60.00", RESOLVED, LOST, of="A")
        ),
        "paid", "100.00", "60.00",
    ),
    "refunded in part, the rest disputed": Story(
        "100.00",
        told(
            lambda t: t.capture("100.00").refund("30.00", "A").dispute("70.00")
            .dispute("70.00", RESOLVED, "ACCEPTED")
        ),
        "refunded", "100.00", "100.00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_ends_the_same_in_any_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    await stories.check(site, ledger, STORIES[name], path=PATH, currency="USD")


async def test_an_open_dispute_says_of_what_and_until_when(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await stories.place(site, "PP-1", "100.00", "USD")
    for message in told(lambda t: t.capture("100.00").dispute("40.00"))("once", "PP-1"):
        await stories.post(site, PATH, message)
    row = await ledger.fetchrow(
        """
        SELECT d.amount, d.state, d.reason, d.due_at
          FROM disputes d JOIN payments p ON p.id = d.payment_id
         WHERE p.transaction_id = 'CAPonce'
        """
    )
    assert row is not None
    assert (row["amount"], row["state"]) == (40, "opened")
    assert row["reason"] == "PP-D-once MERCHANDISE_OR_SERVICE_NOT_RECEIVED"
    assert row["due_at"] == datetime(2026, 12, 3, 12, tzinfo=UTC)


async def test_what_cannot_be_booked_is_parked_with_its_message(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """Nothing that counts is only noted, and its raw message is kept."""
    tells = Teller("odd", "PP-2")
    tells.dispute("40.00", RESOLVED, "SOMETHING_NEW").refund("30.00", status="SOMETHING_NEW")
    tells.tell("PAYMENT.SALE.COMPLETED", {}).tell("PAYMENT.CAPTURE.NEW", {})
    for message in tells.told:
        await stories.post(site, PATH, message)
    rows = await ledger.fetch(
        "SELECT reason, detail FROM parked WHERE source_key LIKE 'WH-odd%' ORDER BY source_key"
    )
    assert [row["reason"] for row in rows] == ["unmapped"] * 4
    assert "SOMETHING_NEW" in rows[0]["detail"]
    assert "SOMETHING_NEW" in rows[1]["detail"]
    kept = """
        SELECT count(*) FROM raw_messages r JOIN order_events e ON e.id = r.id
         WHERE e.source_key LIKE 'WH-odd%'
        """
    assert await ledger.fetchval(kept) == 4
