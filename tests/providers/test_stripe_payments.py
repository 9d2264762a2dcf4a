"""What Stripe's adapter takes for a payment, under which numbers, and in whose currency."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import events

from .stripe_samples import (
    ADAPTER,
    CHARGE,
    CREATED,
    INTENT,
    INVOICE,
    INVOICE_PAYMENT,
    SESSION,
    SUBSCRIBED,
    event,
    signed,
)
from .support import read_one

COMPLETED = "checkout.session.completed"
PI, CS, IN = INTENT["id"], SESSION["id"], INVOICE["id"]
CH = CHARGE["id"]


def read(kind: str, snapshot: Any) -> events.Event:
    return read_one(ADAPTER, signed(event(kind, snapshot)))


def paid(
    transaction_id: str, amount: str = "199.00", *names: str, **changes: Any
) -> events.PaymentSucceeded:
    told: dict[str, Any] = {"order_no": "SO-1001", "currency": "USD", "occurred_at": CREATED}
    return events.PaymentSucceeded(
        transaction_id=transaction_id, amount=Decimal(amount), names=names, **(told | changes)
    )


def parked(found: events.Event, says: str, order_no: str = "") -> None:
    assert isinstance(found, events.Unmapped)
    assert says in found.detail
    assert found.order_no == order_no


@pytest.mark.parametrize("kind", [COMPLETED, "checkout.session.async_payment_succeeded"])
def test_checkout_session(kind: str) -> None:
    """A paid session is the payment of its intent, and names the order by reference."""
    assert read(kind, SESSION) == paid(PI, "199.00", CS)
    assert read(kind, SESSION | {"invoice": IN}) == paid(PI, "199.00", CS, IN)


def test_checkout_session_metadata_comes_first() -> None:
    result = read(COMPLETED, SESSION | {"metadata": {"order_no": "SO-7"}})
    assert events.order_no(result) == "SO-7"


#: Every documented value, and one of a later version: (mode, payment_status, changes, result).
_LATER = events.Noted(COMPLETED, CREATED)
_FREE = {"amount_total": 0, "payment_intent": None}
_NOT_SOLD = {"amount_total": None, "currency": None, "payment_intent": None}
SESSIONS: list[tuple[Any, str, dict[str, Any], events.Event]] = [
    ("payment", "paid", {}, paid(PI, "199.00", CS)),
    (None, "paid", {}, paid(PI, "199.00", CS)),
    ("payment", "unpaid", {}, _LATER),
    ("payment", "no_payment_required", _FREE, paid(CS, "0")),
    ("payment", "paid", _FREE, paid(CS, "0")),
    ("subscription", "paid", {"payment_intent": None, "invoice": IN},
     paid(CS, "199.00", IN, is_provisional=True)),
    ("subscription", "paid", {"payment_intent": None}, paid(CS, is_provisional=True)),
    ("subscription", "unpaid", {"payment_intent": None}, _LATER),
    ("subscription", "no_payment_required", _FREE | {"invoice": IN}, paid(CS, "0", IN)),
    ("setup", "no_payment_required", _NOT_SOLD, _LATER),
    ("setup", "paid", _NOT_SOLD, _LATER),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "status", "changes", "means"), SESSIONS)
def test_every_mode_and_payment_status(
    mode: Any, status: str, changes: dict[str, Any], means: events.Event
) -> None:
    assert read(COMPLETED, SESSION | {"mode": mode, "payment_status": status} | changes) == means


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (COMPLETED, {"payment_status": "settling"}, "payment_status settling is unknown"),
        (COMPLETED, {"payment_status": 1}, "payment_status (no word) is unknown"),
        (COMPLETED, {"payment_status": None}, "payment_status (no word) is unknown"),
        (COMPLETED, {"mode": "auction"}, "mode auction is unknown"),
        (COMPLETED, {"payment_status": "no_payment_required"}, "199.00 USD, of which nothing"),
        (COMPLETED, {"amount_total": None}, "without amount"),
        ("checkout.session.async_payment_succeeded", {"payment_status": "unpaid"}, "unpaid"),
    ],
)
def test_a_session_of_another_kind_is_parked(kind: str, changes: dict[str, Any], says: str) -> None:
    found = read(kind, SESSION | changes)
    parked(found, says, "" if "without amount" in says else "SO-1001")


@pytest.mark.parametrize(
    "kind", ["checkout.session.expired", "checkout.session.async_payment_failed"]
)
def test_a_session_that_brought_no_money_is_noted(kind: str) -> None:
    """The buyer may pay in another one."""
    assert read(kind, SESSION | {"payment_status": "unpaid"}) == events.Noted(kind, CREATED)


def test_an_intent_names_its_charge_and_invoice() -> None:
    told = INTENT | {"latest_charge": CH, "invoice": IN}
    assert read("payment_intent.succeeded", told) == paid(PI, "199.00", CH, IN)
    expanded = INTENT | {"latest_charge": {"id": CH, "object": "charge"}, "invoice": {"id": 7}}
    assert read("payment_intent.succeeded", expanded) == paid(PI, "199.00", CH)


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ([{"id": "ch_0", "status": "failed"}, {"id": CH, "status": "succeeded"}], (CH,)),
        ([{"id": "ch_0", "status": "failed"}, 7, None], ()),
        ([], ()),
        (None, ()),
        ("x", ()),
    ],
)
def test_an_intent_of_older_versions_lists_its_charges(listed: Any, names: tuple[str, ...]) -> None:
    told = INTENT | {"charges": {"object": "list", "data": listed}}
    assert read("payment_intent.succeeded", told) == paid(PI, "199.00", *names)
    assert read("payment_intent.succeeded", INTENT | {"charges": listed}) == paid(PI)


def test_a_subscription_is_joined_by_its_invoice() -> None:
    """Session, invoice and its payment name each other, whichever comes first."""
    session = read(COMPLETED, SUBSCRIBED)
    invoice = read("invoice.paid", INVOICE)
    payment = read("invoice_payment.paid", INVOICE_PAYMENT)
    intent = read("payment_intent.succeeded", INTENT | {"metadata": {}})
    assert session == paid(CS, "199.00", IN, is_provisional=True)
    assert invoice == paid(IN, is_provisional=True)
    assert payment == paid(IN, "199.00", PI, order_no="")
    assert intent == paid(PI, order_no="")


@pytest.mark.parametrize(
    "told",
    [
        SESSION,
        SESSION | {"payment_intent": None, "mode": "subscription"},
    ],
)
def test_the_shop_s_currency_counts_in_a_session(told: dict[str, Any]) -> None:
    """The buyer's is beside it since 2025-03-31; before that it was the session's own."""
    own = {"presentment_details": {"presentment_amount": 18150, "presentment_currency": "eur"}}
    found = read(COMPLETED, told | own)
    assert isinstance(found, events.PaymentSucceeded)
    assert (found.amount, found.currency) == (Decimal("199.00"), "USD")
    legacy = {
        "amount_total": 18150,
        "currency": "eur",
        "currency_conversion": {
            "amount_subtotal": 19900,
            "amount_total": 19900,
            "fx_rate": "0.912",
            "source_currency": "usd",
        },
    }
    assert read(COMPLETED, told | legacy) == read(COMPLETED, told)


@pytest.mark.parametrize(
    "odd", [None, {}, {"presentment_amount": "x"}, {"presentment_currency": 7}, [], "eur"]
)
def test_the_shop_s_currency_counts_in_an_intent(odd: Any) -> None:
    told = INTENT | {"presentment_details": odd}
    assert read("payment_intent.succeeded", told) == paid(PI)


#: Events of an intent that is not paid: nothing was captured.
OPEN = [
    ("payment_intent.created", "requires_payment_method"),
    ("payment_intent.requires_action", "requires_action"),
    ("payment_intent.processing", "processing"),
    ("payment_intent.payment_failed", "requires_payment_method"),
    ("payment_intent.partially_funded", "requires_action"),
    ("payment_intent.amount_capturable_updated", "requires_capture"),
]


@pytest.mark.parametrize(("kind", "status"), OPEN)
def test_what_is_authorised_is_not_paid(kind: str, status: str) -> None:
    intent = INTENT | {"amount_received": 0, "status": status, "amount_capturable": 20000}
    assert read(kind, intent) == events.Noted(kind, CREATED)
    del intent["amount_received"]
    assert read(kind, intent) == events.Noted(kind, CREATED)


def test_what_was_captured_of_it_is_paid() -> None:
    """203.00 captured of 206.75 authorised."""
    intent = INTENT | {"amount": 20675, "amount_received": 20300, "amount_capturable": 0}
    assert read("payment_intent.succeeded", intent) == paid(PI, "203.00")


def test_an_intent_that_is_captured_in_parts_is_parked_until_it_ends() -> None:
    """Its amount is told once: when it succeeds, or when the rest of it is cancelled."""
    kind = "payment_intent.amount_capturable_updated"
    intent = INTENT | {"amount_received": 5000, "status": "requires_capture"}
    parked(read(kind, intent), "captured 50.00 USD so far", "SO-1001")
    assert read("payment_intent.canceled", intent) == paid(PI, "50.00")


@pytest.mark.parametrize(
    ("reason", "closes"),
    [
        (None, True),
        ("abandoned", True),
        ("automatic", True),
        ("expired", True),
        ("failed_invoice", True),
        ("fraudulent", True),
        ("requested_by_customer", True),
        ("void_invoice", True),
        ("duplicate", False),
    ],
)
def test_a_cancelled_intent_closes_its_order(reason: str | None, closes: bool) -> None:
    """As timed out, which an order that another intent paid is not; without a number, none."""
    kind = "payment_intent.canceled"
    intent = INTENT | {"amount_received": 0, "cancellation_reason": reason, "status": "canceled"}
    noted = events.Noted(kind, CREATED)
    closed = events.Closed("SO-1001", "timed_out", CREATED, only_unpaid=True)
    assert read(kind, intent) == (closed if closes else noted)
    assert read(kind, intent | {"metadata": {}}) == noted


def test_an_unknown_reason_to_cancel_is_parked() -> None:
    intent = INTENT | {"amount_received": 0, "cancellation_reason": "eclipse"}
    found = read("payment_intent.canceled", intent)
    parked(found, "cancellation_reason eclipse is unknown", "SO-1001")


BARE = CHARGE | {"payment_intent": None, "amount_refunded": 0}
PART = {"payment_intent": PI, "amount": 20675}


def several(status: str, method: str = "card") -> dict[str, Any]:
    """Return whether a charge may be captured several times."""
    return {"type": method, method: {"multicapture": {"status": status}}}


@pytest.mark.parametrize(
    ("kind", "changes", "means"),
    [
        ("charge.succeeded", {}, paid(CH)),
        ("charge.captured", {"amount": 20675, "amount_captured": 20300}, paid(CH, "203.00")),
        ("charge.succeeded", {"amount_captured": None, "captured": None}, paid(CH)),
        ("charge.succeeded", {"captured": False, "amount_captured": 0}, None),
        ("charge.succeeded", {"payment_intent": PI}, paid(PI, "199.00", CH)),
        ("charge.captured", {"payment_intent": PI, "invoice": IN}, paid(PI, "199.00", CH, IN)),
        ("charge.captured", {"payment_intent": PI, "amount": 20675}, paid(PI, "199.00", CH)),
        ("charge.captured", PART | {"payment_method_details": several("unavailable")},
         paid(PI, "199.00", CH)),
        ("charge.captured", PART | {"payment_method_details": several("available")}, None),
        ("charge.captured", PART | {"payment_method_details": several("available", "card_present")},
         None),
        ("charge.captured", PART | {"payment_method_details": {"card": None, "type": "card"}},
         paid(PI, "199.00", CH)),
        ("charge.pending", {"captured": True}, None),
        ("charge.expired", {"captured": False}, None),
        ("charge.failed", {"failure_balance_transaction": None}, None),
    ],
)  # fmt: skip
def test_a_charge_is_a_payment_once_it_is_captured(
    kind: str, changes: dict[str, Any], means: events.Event | None
) -> None:
    """One with an intent is the intent's, unless more of it may be captured."""
    assert read(kind, BARE | changes) == (means or events.Noted(kind, CREATED))


def test_a_payment_that_failed_after_it_had_succeeded_is_parked() -> None:
    told = CHARGE | {"failure_balance_transaction": "txn_1", "status": "failed"}
    parked(read("charge.failed", told), "taken back", "SO-1001")


#: Why there is an invoice, and whether the subscription's order is meant.
BILLED = [
    (None, True),
    ("manual", True),
    ("quote_accept", True),
    ("subscription_create", True),
    ("automatic_pending_invoice_item_invoice", False),
    ("subscription", False),
    ("subscription_cycle", False),
    ("subscription_threshold", False),
    ("subscription_update", False),
    ("upcoming", False),
]


@pytest.mark.parametrize(("reason", "is_first"), BILLED)
def test_a_renewal_pays_no_order_unless_its_own_metadata_names_one(
    reason: str | None, is_first: bool
) -> None:
    invoice = INVOICE | {"billing_reason": reason}
    found = read("invoice.paid", invoice)
    if is_first:
        assert found == paid(IN, is_provisional=True)
    else:
        parked(found, "a renewal of 199.00 USD")
    named = invoice | {"metadata": {"order_no": "SO-2"}}
    assert read("invoice.paid", named) == paid(IN, order_no="SO-2", is_provisional=True)


@pytest.mark.parametrize(
    ("changes", "means"),
    [
        ({"payment_intent": PI, "charge": CH}, paid(PI, "199.00", IN, CH)),
        ({"charge": CH}, paid(CH, "199.00", IN)),
        ({"parent": {"quote_details": {}}}, paid(IN, order_no="", is_provisional=True)),
        ({"parent": None, "subscription_details": {"metadata": {"order_no": "SO-3"}}},
         paid(IN, order_no="SO-3", is_provisional=True)),
        ({"parent": 7, "subscription_details": []}, paid(IN, order_no="", is_provisional=True)),
        ({"amount_paid": 0}, events.Noted("invoice.paid", CREATED)),
    ],
)  # fmt: skip
def test_an_invoice_of_older_versions_names_its_intent(
    changes: dict[str, Any], means: events.Event
) -> None:
    assert read("invoice.paid", INVOICE | changes) == means


@pytest.mark.parametrize(
    ("kind", "told", "says"),
    [
        ("invoice.paid", INVOICE | {"paid_out_of_band": True}, "outside Stripe"),
        ("invoice.paid", INVOICE | {"amount_paid_off_stripe": 100}, "outside Stripe"),
        ("invoice.paid", INVOICE | {"billing_reason": "whim"}, "billing_reason whim is unknown"),
        ("invoice_payment.paid", INVOICE_PAYMENT | {"payment": {"type": "payment_record"}},
         "outside Stripe"),
        ("invoice_payment.paid", INVOICE_PAYMENT | {"payment": {"type": "barter"}},
         "type of payment barter is unknown"),
    ],
)  # fmt: skip
def test_an_invoice_that_stripe_did_not_collect_is_parked(
    kind: str, told: dict[str, Any], says: str
) -> None:
    found = read(kind, told)
    assert isinstance(found, events.Unmapped)
    assert says in found.detail


def test_an_invoice_may_be_paid_by_a_charge_without_an_intent() -> None:
    told = INVOICE_PAYMENT | {"payment": {"type": "charge", "charge": CH}}
    assert read("invoice_payment.paid", told) == paid(IN, "199.00", CH, order_no="")
    odd = INVOICE_PAYMENT | {"invoice": None}
    assert read("invoice_payment.paid", odd) == paid(PI, "199.00", order_no="")


def test_an_invoice_is_paid_by_either_of_two_events() -> None:
    """A webhook may be sent the older one alone; other events of an invoice are noted."""
    assert read("invoice.payment_succeeded", INVOICE) == read("invoice.paid", INVOICE)
    assert read("invoice.finalized", INVOICE) == events.Noted("invoice.finalized", CREATED)
