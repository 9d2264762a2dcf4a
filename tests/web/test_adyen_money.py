"""Adyen's messages over HTTP into the ledger: what each story comes to, however it arrives."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.providers.contract import Message
from gateway.runtime.settings import Account
from tests.providers.adyen_samples import OPTIONS, PAYMENT, SECRET, signed
from tests.support.site import Site
from tests.web import stories
from tests.web.stories import Story

#: Retries end after 30 days: Adyen's own times count when they are not too old.
BEGUN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    (tmp_path / "adyen").write_text(SECRET)
    return [
        Account(
            provider="adyen",
            name=capture,
            channels=["web"],
            secrets=[f"file:{tmp_path / 'adyen'}"],
            options=OPTIONS | {"capture": capture},
        )
        for capture in ("automatic", "manual", "several")
    ]


class Teller:
    """Adyen, telling of one order: each message a minute after the one before."""

    def __init__(self, serial: str, order_no: str) -> None:
        self._serial = serial
        self._order_no = order_no
        self.told: list[Message] = []

    def tell(self, code: str, psp: str, euros: str, **more: Any) -> "Teller":
        at = BEGUN + timedelta(minutes=len(self.told))
        item = PAYMENT | {
            "eventCode": code,
            "pspReference": psp + self._serial,
            "amount": {"currency": "EUR", "value": int(Decimal(euros) * 100)},
            "merchantReference": self._order_no,
            "eventDate": at.isoformat(),
        }
        self.told.append(signed(item | more))
        return self

    def paid(self, euros: str, psp: str = "PSP", **more: Any) -> "Teller":
        return self.tell("AUTHORISATION", psp, euros, **more)

    def then(
        self, code: str, euros: str, psp: str = "MOD", of: str = "PSP", **more: Any
    ) -> "Teller":
        """Tell of a change of a payment; its reference is not the order's."""
        of_payment = {"originalReference": of + self._serial, "merchantReference": "change-1"}
        return self.tell(code, psp, euros, **of_payment | more)

    def captured(self, euros: str, psp: str) -> "Teller":
        """Tell of a capture that was requested with the number of the order."""
        return self.then("CAPTURE", euros, psp, merchantReference=self._order_no)


def told(tells: Callable[[Teller], Teller]) -> Callable[[str, str], Sequence[Message]]:
    return lambda serial, order_no: tells(Teller(serial, order_no)).told


NO = {"success": "false"}
_serial = itertools.count(1)
NOTIFIED = "NOTIFICATION_OF_CHARGEBACK"

AUTOMATIC = {
    "a gift card and a card": Story(
        "100.00",
        told(
            lambda t: t.tell("ORDER_OPENED", "ORD", "100.00").paid("30.00", "GIFT")
            .paid("70.00", "CARD").tell("ORDER_CLOSED", "ORD", "100.00")
        ),
        "paid", "100.00",
    ),
    "only the gift card": Story(
        "100.00",
        told(
            lambda t: t.tell("ORDER_OPENED", "ORD", "100.00").paid("30.00", "GIFT")
            .paid("70.00", "CARD", **NO)
        ),
        "pending_payment", "30.00",
    ),
    "declined, then paid": Story(
        "100.00", told(lambda t: t.paid("100.00", "A", **NO).paid("100.00", "B")), "paid", "100.00"
    ),
    "delayed, and its capture told": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("CAPTURE", "100.00")),
        "paid", "100.00",
    ),
    "refunds": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("REFUND", "9.00", "A").then("REFUND", "9.00", "B")),
        "paid", "100.00", "18.00",
    ),
    "a refund is declined": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("REFUND", "9.00", **NO)),
        "paid", "100.00", "0", None, ("refund_failed",),
    ),
    "a refund fails": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("REFUND", "9.00").then("REFUND_FAILED", "9.00")),
        "paid", "100.00", "0", None, ("refund_failed",),
    ),
    "a refund comes back": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").then("REFUND", "100.00").then("REFUNDED_REVERSED", "100.00")
        ),
        "paid", "100.00", "0", None, ("refund_failed",),
    ),
    "cancelled or refunded": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("CANCEL_OR_REFUND", "100.00")),
        "refunded", "100.00", "100.00",
    ),
    "cancelled": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("CANCELLATION", "100.00")),
        "refunded", "100.00", "100.00",
    ),
    "a capture fails": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("CAPTURE_FAILED", "100.00")),
        "refunded", "100.00", "100.00",
    ),
    "the bank asks": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("REQUEST_FOR_INFORMATION", "100.00")),
        "paid", "100.00", "0", "disputed",
    ),
    "a chargeback is announced, documents are supplied": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").then(NOTIFIED, "40.00").then("INFORMATION_SUPPLIED", "40.00")
        ),
        "paid", "100.00", "0", "disputed",
    ),
    "a chargeback of a part": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then(NOTIFIED, "40.00").then("CHARGEBACK", "40.00")),
        "paid", "100.00", "40.00",
    ),
    "a chargeback is reversed": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").then(NOTIFIED, "100.00").then("CHARGEBACK", "100.00")
            .then("CHARGEBACK_REVERSED", "100.00")
        ),
        "paid", "100.00",
    ),
    "a second chargeback": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").then("CHARGEBACK", "100.00")
            .then("CHARGEBACK_REVERSED", "100.00").then("SECOND_CHARGEBACK", "100.00")
        ),
        "refunded", "100.00", "100.00",
    ),
    "won before arbitration": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").then("CHARGEBACK", "40.00")
            .then("PREARBITRATION_OPEN", "40.00").then("PREARBITRATION_WON", "40.00")
        ),
        "paid", "100.00",
    ),
    "not defended": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").then(NOTIFIED, "100.00").then("CHARGEBACK", "100.00")
            .then("DISPUTE_DEFENSE_PERIOD_ENDED", "100.00")
        ),
        "refunded", "100.00", "100.00",
    ),
    "the gift card is refunded, the card charged back": Story(
        "100.00",
        told(
            lambda t: t.paid("30.00", "GIFT").paid("70.00", "CARD")
            .then("REFUND", "30.00", of="GIFT").then("CHARGEBACK", "70.00", "DIS", of="CARD")
        ),
        "refunded", "100.00", "100.00",
    ),
}  # fmt: skip

MANUAL = {
    "authorised": Story("100.00", told(lambda t: t.paid("100.00")), "pending_payment", "0"),
    "captured in part, the rest is released": Story(
        "200.00",
        told(lambda t: t.paid("203.00").captured("200.00", "CAP").then("REFUND", "3.00")),
        "paid", "200.00", "3.00",
    ),
    "cancelled": Story(
        "100.00",
        told(lambda t: t.paid("100.00").then("CANCELLATION", "100.00").then("EXPIRE", "100.00")),
        "pending_payment", "0",
    ),
    "a capture fails": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").captured("100.00", "CAP")
            .then("CAPTURE_FAILED", "100.00", "CAP")
        ),
        "refunded", "100.00", "100.00",
    ),
}  # fmt: skip

SEVERAL = {
    "two captures": Story(
        "100.00",
        told(lambda t: t.paid("100.00").captured("50.00", "CAP1").captured("50.00", "CAP2")),
        "paid", "100.00",
    ),
    "one of two captures fails": Story(
        "100.00",
        told(
            lambda t: t.paid("100.00").captured("60.00", "CAP1").captured("40.00", "CAP2")
            .then("CAPTURE_FAILED", "40.00", "CAP2")
        ),
        "paid", "100.00", "40.00",
    ),
}  # fmt: skip

CASES = [
    pytest.param(capture, story, id=f"{capture}: {name}")
    for capture, found in (("automatic", AUTOMATIC), ("manual", MANUAL), ("several", SEVERAL))
    for name, story in found.items()
]


@pytest.mark.parametrize(("capture", "story"), CASES)
async def test_a_story_ends_the_same_in_any_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", capture: str, story: Story
) -> None:
    path = f"/v1/callbacks/adyen/{capture}"
    await stories.check(site, ledger, story, path=path, currency="EUR")


@pytest.mark.parametrize(
    "tells",
    [
        lambda t: t.paid("30.00", "GIFT").tell("ORDER_CLOSED", "ORD", "100.00", **NO),
        lambda t: t.paid("100.00").then("NOTIFICATION_OF_FRAUD", "100.00"),
        lambda t: t.paid("100.00").then("SOMETHING_NEW", "100.00"),
        lambda t: t.paid("100.00").then("CHARGEBACK_REVERSED", "100.00", originalReference=""),
        lambda t: t.paid("100.00").then("REFUND_WITH_DATA", "9.00", originalReference=""),
    ],
)
async def test_what_a_person_must_see_is_parked(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", tells: Callable[[Teller], Teller]
) -> None:
    """It books nothing, and nothing that was booked changes."""
    serial = f"seen{next(_serial)}x"
    await stories.place(site, serial, "100.00", "EUR")
    messages = told(tells)(serial, serial)
    await stories.post(site, "/v1/callbacks/adyen/automatic", messages[0])
    before = await stories.outcome(ledger, serial, serial)
    await stories.post(site, "/v1/callbacks/adyen/automatic", messages[1])
    assert (await stories.outcome(ledger, serial, serial))[:4] == before[:4]
    reasons = await ledger.fetch(
        "SELECT reason FROM parked WHERE source_key LIKE '%' || $1 || '%'", serial
    )
    assert [row["reason"] for row in reasons] == ["unmapped"]


async def test_a_capture_of_less_than_was_booked_is_seen(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """An account that captures by hand, and does not say so in its options."""
    await stories.place(site, "AD-1", "100.00", "EUR")
    for message in told(lambda t: t.paid("100.00").then("CAPTURE", "60.00"))("less", "AD-1"):
        await stories.post(site, "/v1/callbacks/adyen/automatic", message)
    assert (await stories.outcome(ledger, "AD-1", "less"))[4] == ("amount_mismatch",)


async def test_what_is_captured_again_under_the_same_number_is_no_repeat(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """It is parked with its message: that it is another capture, only its reason says."""
    serial = f"{next(_serial):06d}R"
    order_no = f"AR-{serial}"
    await stories.place(site, order_no, "100.00", "EUR")
    tells = Teller(serial, order_no).paid("100.00").captured("100.00", "CAP")
    tells.then("CAPTURE_FAILED", "100.00", "CAP")
    for reason in ("Transaction Auto-recaptured", "Transaction Recaptured"):
        tells.then("CAPTURE", "100.00", "CAP", merchantReference=order_no, reason=reason)
    for message in tells.told:
        await stories.post(site, "/v1/callbacks/adyen/manual", message)
    status, _, paid, refunded, _, _ = await stories.outcome(ledger, order_no, serial)
    assert (status, paid, refunded) == ("refunded", 100, 100)
    rows = await ledger.fetch(
        """
        SELECT p.reason, p.detail, (SELECT count(*) FROM raw_messages r WHERE r.id = e.id) AS kept
          FROM order_events e JOIN parked p USING (source, source_key)
         WHERE e.source_key LIKE 'CAP' || $1 || ':CAPTURE:%'
        """,
        serial,
    )
    assert [(row["reason"], row["kept"]) for row in rows] == [("unmapped", 1)]
    assert "captured again" in rows[0]["detail"]
