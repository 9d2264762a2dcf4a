"""Stripe's messages over HTTP into the ledger: what each story comes to, in any order of arrival.

A story is a list of events with the time of each, signed by Stripe's own library.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import stripe
from multidict import CIMultiDict

from gateway.providers.contract import Message
from gateway.runtime.settings import Account
from tests.support.site import Site
from tests.web import stories
from tests.web.stories import outcome, place

SECRET = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
BEGUN_S = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
PATH = "/v1/callbacks/stripe/main"


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    (tmp_path / "stripe").write_text(SECRET)
    secrets = [f"file:{tmp_path / 'stripe'}"]
    return [Account(provider="stripe", name="main", channels=["web"], secrets=secrets)]


class Told(NamedTuple):
    """One event of a story: its type, its snapshot, and when it happened."""

    kind: str
    snapshot: dict[str, Any]
    at_s: int


Tells = Callable[[str, str], Sequence[Told]]


class Story(NamedTuple):
    """What is told of an order of ``payable`` USD, and what it comes to: see ``stories.Story``."""

    payable: str
    tells: Tells
    status: str
    paid: str
    refunded: str = "0"
    hold: str | None = None
    parked: tuple[str, ...] = ()


def intent(n: str, order_no: str, received: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"pi_{n}", "object": "payment_intent", "status": "succeeded",
        "amount": received, "amount_received": received, "currency": "usd",
        "latest_charge": f"ch_{n}", "metadata": {"order_no": order_no} if order_no else {},
    } | changes  # fmt: skip


def session(n: str, order_no: str, total: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"cs_{n}", "object": "checkout.session", "mode": "payment", "invoice": None,
        "payment_intent": f"pi_{n}", "payment_status": "paid", "amount_total": total,
        "currency": "usd", "client_reference_id": order_no, "metadata": {},
    } | changes  # fmt: skip


def charge(n: str, order_no: str, taken: int, refunded: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"ch_{n}", "object": "charge", "amount": taken, "amount_captured": taken,
        "amount_refunded": refunded, "captured": True, "currency": "usd",
        "payment_intent": f"pi_{n}", "metadata": {"order_no": order_no},
    } | changes  # fmt: skip


def refund(n: str, no: str, amount: int, status: str) -> dict[str, Any]:
    return {
        "id": f"re_{n}{no}", "object": "refund", "amount": amount, "currency": "usd",
        "status": status, "payment_intent": f"pi_{n}", "charge": f"ch_{n}", "metadata": {},
    }  # fmt: skip


def dispute(n: str, amount: int, status: str) -> dict[str, Any]:
    return {
        "id": f"du_{n}", "object": "dispute", "amount": amount, "currency": "usd",
        "status": status, "reason": "fraudulent", "payment_intent": f"pi_{n}",
        "charge": f"ch_{n}", "metadata": {}, "balance_transactions": [],
        "evidence_details": {"due_by": BEGUN_S + 86400 * 9},
    }  # fmt: skip


PAID, DONE = "payment_intent.succeeded", "checkout.session.completed"
REFUNDED, FAILED = "charge.refunded", "refund.failed"
HELD = {"amount": 20675}


def partial_capture(*totals: int) -> Tells:
    return lambda n, o: [
        Told("payment_intent.amount_capturable_updated", intent(n, o, 0, **HELD), 1),
        Told(PAID, intent(n, o, 20300, **HELD), 2),
        *(Told(REFUNDED, charge(n, o, 20300, total, **HELD), 3 + at)
          for at, total in enumerate(totals)),
    ]  # fmt: skip


def subscription(*, named: bool, legacy: bool = False) -> Tells:
    """A session without an intent, its invoice, its intent and a refund."""

    def tells(n: str, o: str) -> Sequence[Told]:
        sold = {"mode": "subscription", "payment_intent": None, "invoice": f"in_{n}"}
        found = [
            Told(DONE, session(n, o, 2000, **sold), 3),
            Told(PAID, intent(n, o if named else "", 2000), 1),
            Told(REFUNDED, charge(n, "", 2000, 500), 9),
        ]
        if legacy:
            found[1].snapshot["invoice"] = f"in_{n}"
        elif not named:
            paid_by = {"type": "payment_intent", "payment_intent": f"pi_{n}"}
            paid = {"id": f"inpay_{n}", "amount_paid": 2000, "currency": "usd",
                    "invoice": f"in_{n}", "payment": paid_by}  # fmt: skip
            found.append(Told("invoice_payment.paid", paid, 2))
        return found

    return tells


def fully_told(*, by_metadata: bool) -> Tells:
    """A subscription with everything that Stripe can be asked to send of its first payment."""

    def tells(n: str, o: str) -> Sequence[Told]:
        metadata = {"order_no": o} if by_metadata else {}
        invoice = {"id": f"in_{n}", "amount_paid": 2000, "currency": "usd", "metadata": {},
                   "billing_reason": "subscription_create",
                   "parent": {"subscription_details": {"metadata": metadata}}}  # fmt: skip
        return [Told("invoice.paid", invoice, 2), *subscription(named=False)(n, o)]

    return tells


def with_failed_refund(*after: int) -> Tells:
    """A refund of 5.00 that fails, told in two events; then further totals of the charge."""
    return lambda n, o: [
        Told(PAID, intent(n, o, 2000), 1),
        Told(REFUNDED, charge(n, o, 2000, 500), 2),
        Told(FAILED, refund(n, "a", 500, "failed"), 5),
        Told("charge.refund.updated", refund(n, "a", 500, "failed"), 5),
        *(Told(REFUNDED, charge(n, o, 2000, total), 6 + at) for at, total in enumerate(after)),
    ]


def disputed(*statuses: str, amount: int = 2000) -> Tells:
    kinds = {"won": "closed", "lost": "closed", "warning_closed": "closed"}
    return lambda n, o: [
        Told(PAID, intent(n, o, 2000), 1),
        *(Told(f"charge.dispute.{kinds.get(status, 'updated' if at else 'created')}",
               dispute(n, amount, status), 2 + at) for at, status in enumerate(statuses)),
    ]  # fmt: skip


def free(n: str, o: str) -> Sequence[Told]:
    nothing = {"payment_status": "no_payment_required", "payment_intent": None}
    return [Told(DONE, session(n, o, 0, **nothing), 1)]


def in_parts(n: str, o: str) -> Sequence[Told]:
    """A deposit and the balance, each by an intent of its own; the deposit is refunded."""
    return [
        Told(PAID, intent(f"{n}d", o, 500), 1),
        Told(PAID, intent(f"{n}b", o, 1500), 2),
        Told(REFUNDED, charge(f"{n}d", o, 500, 500), 3),
    ]


def in_two_currencies(n: str, o: str) -> Sequence[Told]:
    seen = {"presentment_details": {"presentment_amount": 1825, "presentment_currency": "eur"}}
    return [
        Told(DONE, session(n, o, 2000, **seen), 1),
        Told(PAID, intent(n, o, 2000, **seen), 1),
        Told(REFUNDED, charge(n, o, 2000, 700, **seen), 2),
        Told("refund.created", refund(n, "a", 700, "succeeded") | seen, 2),
        Told("charge.succeeded", charge(n, o, 2000, 0, **seen), 1),
    ]


def charged_in_part(n: str, o: str) -> Sequence[Told]:
    """Only charges are told: authorised, captured in part, refunded."""
    return [
        Told("charge.succeeded", charge(n, o, 0, 0, captured=False, **HELD), 1),
        Told("charge.captured", charge(n, o, 20300, 0, **HELD), 2),
        Told(REFUNDED, charge(n, o, 20300, 675, **HELD), 3),
    ]


def invoiced(*kinds: str) -> Tells:
    """An invoice by hand, told of in these events, and a refund."""
    return lambda n, o: [
        *(Told(kind, {"id": f"in_{n}", "amount_paid": 2000, "currency": "usd",
                      "billing_reason": "manual", "metadata": {"order_no": o},
                      "payment_intent": f"pi_{n}", "charge": f"ch_{n}"}, 1) for kind in kinds),
        Told(REFUNDED, charge(n, "", 2000, 500), 2),
    ]  # fmt: skip


def two_fail(n: str, o: str) -> Sequence[Told]:
    """Two of three refunds fail, the second in the second in which it was made."""
    return [
        Told(PAID, intent(n, o, 2000), 1),
        Told(REFUNDED, charge(n, o, 2000, 500), 2),
        Told(REFUNDED, charge(n, o, 2000, 800), 3),
        Told(REFUNDED, charge(n, o, 2000, 1000), 4),
        Told(FAILED, refund(n, "c", 200, "failed"), 4),
        Told("refund.updated", refund(n, "a", 500, "canceled"), 5),
    ]


def decided_twice(n: str, o: str) -> Sequence[Told]:
    """An inquiry becomes a chargeback, which is lost; an appeal is won."""
    told = disputed("warning_needs_response", "needs_response", "lost")(n, o)
    return [*told, Told("charge.dispute.funds_reinstated", dispute(n, 2000, "won"), 9)]


def lost_at_once(n: str, o: str) -> Sequence[Told]:
    """A bank debit that is disputed: opened, taken and closed in one second."""
    return [
        Told(PAID, intent(n, o, 2000), 1),
        Told("charge.dispute.created", dispute(n, 2000, "needs_response"), 2),
        Told("charge.dispute.funds_withdrawn", dispute(n, 2000, "lost"), 2),
        Told("charge.dispute.closed", dispute(n, 2000, "lost"), 2),
    ]


def without_intent(n: str, o: str) -> Sequence[Told]:
    """The old Charges API: authorised, captured in part, refunded, disputed."""
    bare = {"payment_intent": None, **HELD}
    return [
        Told("charge.succeeded", charge(n, o, 0, 0, captured=False, **bare), 1),
        Told("charge.captured", charge(n, o, 20300, 0, **bare), 2),
        Told(REFUNDED, charge(n, o, 20300, 675, **bare), 3),
        Told("charge.dispute.created", dispute(n, 1000, "needs_response") | bare | {
            "amount": 1000}, 4),
    ]  # fmt: skip


def cancelled_after_authorisation(n: str, o: str) -> Sequence[Told]:
    nothing = {"amount": 2000, "cancellation_reason": "expired", "status": "canceled"}
    bare = {"captured": False, "amount": 2000}
    return [
        Told("payment_intent.amount_capturable_updated", intent(n, o, 0, amount=2000), 1),
        Told("charge.expired", charge(n, o, 0, 2000, **bare), 2),
        Told(REFUNDED, charge(n, o, 0, 2000, **bare), 2),
        Told("payment_intent.canceled", intent(n, o, 0, **nothing), 2),
    ]


def named_by_transaction(n: str, o: str) -> Sequence[Told]:
    """Only the payment names the order."""
    return [
        Told(PAID, intent(n, o, 2000), 1),
        Told(REFUNDED, charge(n, "Order 1001", 2000, 300), 2),
        Told("refund.updated", refund(n, "a", 300, "canceled"), 3),
        Told("charge.dispute.closed", dispute(n, 400, "lost"), 4),
    ]


def named_by_charge(n: str, o: str) -> Sequence[Told]:
    """What goes back names the charge alone, and the intent, of an older version, lists it."""
    listed = {"data": [{"id": f"ch_{n}0", "status": "failed"},
                       {"id": f"ch_{n}", "status": "succeeded"}]}  # fmt: skip
    bare = {"payment_intent": None}
    return [
        Told(PAID, intent(n, o, 2000, latest_charge=None, charges=listed), 1),
        Told(REFUNDED, charge(n, "", 2000, 500, **bare), 2),
        Told(FAILED, refund(n, "a", 300, "failed") | bare, 3),
        Told("charge.dispute.created", dispute(n, 400, "needs_response") | bare, 4),
    ]


STORIES: Mapping[str, Story] = {
    "released 3.75": Story("203.00", partial_capture(375), "paid", "203.00"),
    "released, refunded 3.00": Story("203.00", partial_capture(375, 675), "paid", "203.00", "3.00"),
    "released, refunded in full":
        Story("203.00", partial_capture(675, 20675), "refunded", "203.00", "203.00"),
    "nothing to pay": Story("0.00", free, "paid", "0"),
    "a subscription, its intent names the order":
        Story("20.00", subscription(named=True), "paid", "20.00", "5.00"),
    "a subscription, its intent names the invoice":
        Story("20.00", subscription(named=False, legacy=True), "paid", "20.00", "5.00"),
    "a subscription, its invoice names the intent":
        Story("20.00", subscription(named=False), "paid", "20.00", "5.00"),
    "a subscription, everything told of it":
        Story("20.00", fully_told(by_metadata=False), "paid", "20.00", "5.00"),
    "a subscription, everything told and its metadata":
        Story("20.00", fully_told(by_metadata=True), "paid", "20.00", "5.00"),
    "a refund fails":
        Story("20.00", with_failed_refund(), "paid", "20.00", "0", None, ("refund_failed",)),
    "a refund fails, another is made":
        Story("20.00", with_failed_refund(200), "paid", "20.00", "2.00", None, ("refund_failed",)),
    "a dispute is opened":
        Story("20.00", disputed("needs_response", "under_review"), "paid", "20.00", "0",
              "disputed"),
    "a dispute is won":
        Story("20.00", disputed("needs_response", "under_review", "won"), "paid", "20.00"),
    "a dispute is lost":
        Story("20.00", disputed("needs_response", "lost"), "refunded", "20.00", "20.00"),
    "a part is lost":
        Story("20.00", disputed("needs_response", "lost", amount=800), "paid", "20.00", "8.00"),
    "an inquiry ends":
        Story("20.00", disputed("warning_needs_response", "warning_closed"), "paid", "20.00"),
    "two payments": Story("20.00", in_parts, "paid", "20.00", "5.00"),
    "two currencies": Story("20.00", in_two_currencies, "paid", "20.00", "7.00"),
    "no intent": Story("203.00", without_intent, "paid", "203.00", "3.00", "disputed"),
    "charges only": Story("203.00", charged_in_part, "paid", "203.00", "3.00"),
    "an invoice by its older event":
        Story("20.00", invoiced("invoice.payment_succeeded"), "paid", "20.00", "5.00"),
    "an invoice by both events":
        Story("20.00", invoiced("invoice.paid", "invoice.payment_succeeded"), "paid", "20.00",
              "5.00"),
    "two refunds fail":
        Story("20.00", two_fail, "paid", "20.00", "3.00", None, ("refund_failed",) * 2),
    "lost, and won by appeal": Story("20.00", decided_twice, "paid", "20.00"),
    "lost at once": Story("20.00", lost_at_once, "refunded", "20.00", "20.00"),
    "an authorisation expires": Story("20.00", cancelled_after_authorisation, "closed", "0"),
    "named by its charge":
        Story("20.00", named_by_charge, "paid", "20.00", "2.00", "disputed", ("refund_failed",)),
    "named by its transaction":
        Story("20.00", named_by_transaction, "paid", "20.00", "4.00", None, ("refund_failed",)),
}  # fmt: skip


def signed(told: Told, event_id: str) -> Message:
    """Return one event as Stripe delivers it now."""
    body = json.dumps({
        "id": event_id, "object": "event", "type": told.kind, "created": BEGUN_S + told.at_s * 60,
        "livemode": True, "data": {"object": told.snapshot},
    })  # fmt: skip
    now = datetime.now(UTC)
    signature = stripe.WebhookSignature.generate_signature_header(
        body, SECRET, int(now.timestamp())
    )
    return Message(CIMultiDict({"Stripe-Signature": signature}), body.encode(), now)


def signing(tells: Tells) -> Callable[[str, str], Sequence[Message]]:
    return lambda serial, order_no: [
        signed(told, f"evt_{serial}_{at}") for at, told in enumerate(tells(serial, order_no))
    ]


async def post(site: Site, told: Told, event_id: str) -> None:
    await stories.post(site, PATH, signed(told, event_id))


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_ends_the_same_in_any_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    told = STORIES[name]
    story = stories.Story(told.payable, signing(told.tells), *told[2:])
    await stories.check(site, ledger, story, path=PATH, currency="USD")


async def test_an_intent_that_is_given_up_leaves_what_another_one_paid(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    n, order_no = "given-up", "ST-given-up"
    await place(site, order_no, "20.00", "USD")
    await post(site, Told(PAID, intent(f"{n}b", order_no, 2000), 1), "evt_paid")
    for at, reason in enumerate([None, "abandoned", "automatic", "requested_by_customer"]):
        other = intent(f"{n}{at}", order_no, 0, cancellation_reason=reason, status="canceled")
        await post(site, Told("payment_intent.canceled", other, 2), f"evt_{at}")
    status, hold, paid, refunded, _, _ = await outcome(ledger, order_no, n)
    assert (status, hold, paid, refunded) == ("paid", None, Decimal(20), 0)


async def test_a_renewal_leaves_the_first_order_as_it_is(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """It is parked: whatever it pays, it is not that order again."""
    n, order_no = "renewal", "ST-renewal"
    await place(site, order_no, "20.00", "USD")
    for at, told in enumerate(subscription(named=False)(n, order_no)):
        await post(site, told, f"evt_{n}_{at}")
    before = await outcome(ledger, order_no, n)
    details = {"subscription_details": {"metadata": {"order_no": order_no}}}
    invoice = {"id": "in_next", "amount_paid": 2000, "currency": "usd", "metadata": {},
               "billing_reason": "subscription_cycle", "parent": details}  # fmt: skip
    await post(site, Told("invoice.paid", invoice, 99), "evt_next")
    # The same again, by its older name: parked once.
    await post(site, Told("invoice.payment_succeeded", invoice, 99), "evt_next_again")
    await post(site, Told(PAID, intent("next", "", 2000), 99), "evt_next_paid")
    assert await outcome(ledger, order_no, n) == before
    found = await ledger.fetch("SELECT detail FROM parked WHERE source_key LIKE 'in_next%'")
    assert ["a renewal of 20.00 USD" in row["detail"] for row in found] == [True]


#: References of the merchant that are no order number of anybody.
ODD: list[Any] = [
    "Order 1001",
    "1001 ",
    "订单1001",
    "S" * 65,
    "S" * 80,
    "",
    " ",
    "A\x00B",
    None,
    7,
    [],
    {},
]


@pytest.mark.parametrize("odd", ODD)
async def test_money_is_taken_whatever_the_merchant_entered(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", odd: Any
) -> None:
    """Answered 200; it waits for its order, or for the payment that it is about."""
    n = f"odd{ODD.index(odd):02d}"
    entered = {"metadata": {"order_no": odd}, "client_reference_id": odd}
    bare = {"payment_intent": None, "id": f"ch_{n}x"}
    tells = [
        Told(PAID, intent(f"{n}a", "", 2000) | entered, 1),
        Told(DONE, session(f"{n}b", "", 2000) | entered, 1),
        Told(DONE, session(f"{n}c", "", 2000, mode="subscription", payment_intent=None) | entered,
             1),
        Told("charge.succeeded", charge(n, "", 2000, 0, **bare) | entered, 1),
        Told(REFUNDED, charge(f"{n}d", "", 2000, 500) | entered, 2),
        Told(FAILED, refund(f"{n}e", "a", 500, "failed") | entered, 3),
        Told("charge.dispute.created", dispute(f"{n}f", 2000, "needs_response") | entered, 3),
    ]  # fmt: skip
    for at, told in enumerate(tells):
        await post(site, told, f"evt_{n}_{at}")
    kept = "SELECT count(*) FROM waiting WHERE transaction_id LIKE '%' || $1 || '%'"
    assert await ledger.fetchval(kept, n) == len(tells)
