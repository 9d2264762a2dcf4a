"""What each event code of Adyen means: every documented one has its line."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import events
from gateway.providers import adyen, adyen_disputes, adyen_events, contract

from .adyen_samples import ADAPTER, AT, OPTIONS, PAYMENT, REFUND, SECRET, signed
from .support import account, read_one

MANUAL, SEVERAL = (
    adyen.adapter(account(SECRET, capture=each, **OPTIONS)) for each in ("manual", "several")
)
ALL = {"automatic": ADAPTER, "manual": MANUAL, "several": SEVERAL}
#: As https://docs.adyen.com/development-resources/webhooks/webhook-types and the libraries list
#: the event codes of the standard webhook.
DOCUMENTED = frozenset(
    "AUTHENTICATION AUTHORISATION AUTHORISATION_ADJUSTMENT AUTORESCUE CANCELLATION "
    "CANCEL_AUTORESCUE CANCEL_OR_REFUND CAPTURE CAPTURE_FAILED CHARGEBACK CHARGEBACK_REVERSED "
    "DISPUTE_DEFENSE_PERIOD_ENDED DISPUTE_OPENED_WITH_CHARGEBACK EXPIRE HANDLED_EXTERNALLY "
    "INFORMATION_SUPPLIED ISSUER_COMMENTS ISSUER_RESPONSE_TIMEFRAME_EXPIRED MANUAL_REVIEW_ACCEPT "
    "MANUAL_REVIEW_REJECT NOTIFICATION_OF_CHARGEBACK NOTIFICATION_OF_FRAUD OFFER_CLOSED "
    "ORDER_CLOSED ORDER_OPENED PAIDOUT_REVERSED PAYOUT_DECLINE PAYOUT_EXPIRE PAYOUT_THIRDPARTY "
    "PENDING POSTPONED_REFUND PREARBITRATION_LOST PREARBITRATION_OPEN PREARBITRATION_WON "
    "RECURRING_CONTRACT REFUND REFUNDED_REVERSED REFUND_FAILED REFUND_WITH_DATA REPORT_AVAILABLE "
    "REQUEST_FOR_INFORMATION SCHEME_ARBITRATION_LOST SCHEME_ARBITRATION_WON SECOND_CHARGEBACK "
    "TECHNICAL_CANCEL VOID_PENDING_REFUND".split()
)
BACK: dict[str, Any] = {
    "transaction_id": "NC6HT9CRT65ZGN82",
    "order_no": "",
    "refund_no": "KHQC5N7G84BLNK43",
    "amount": Decimal("9.00"),
    "cumulative": False,
    "currency": "EUR",
    "occurred_at": AT,
}


def read(
    code: str, adapter: contract.Adapter = ADAPTER, *, of: Any = REFUND, **changes: Any
) -> events.Event:
    """Read an event of a payment, which its merchantReference does not name."""
    return read_one(adapter, signed(of | {"eventCode": code} | changes))


def dispute(code: str, state: str, **changes: Any) -> events.Dispute:
    usual: dict[str, Any] = {
        "transaction_id": "NC6HT9CRT65ZGN82",
        "order_no": "",
        "dispute_no": "KHQC5N7G84BLNK43",
        "amount": Decimal("9.00"),
        "currency": "EUR",
        "state": state,
        "reason": code,
        "occurred_at": AT,
    }
    return events.Dispute(**usual | changes)


def test_every_documented_event_code_has_its_line() -> None:
    lines = (adyen_events.NOTED, adyen_events.PARKED, adyen_events.READERS)
    assert set().union(*lines) >= DOCUMENTED
    assert sum(len(each) for each in lines) == len(set().union(*lines))


@pytest.mark.parametrize("success", ["true", "false"])
@pytest.mark.parametrize("code", sorted(adyen_events.NOTED))
def test_what_moves_no_money_is_noted(code: str, success: str) -> None:
    kind = code if success == "true" else f"{code}:false"
    assert read(code, success=success) == events.Noted(kind, AT)


@pytest.mark.parametrize("success", ["true", "false"])
@pytest.mark.parametrize(
    "code", [*sorted(adyen_events.PARKED), "SOMETHING_NEW", "authorisation", "DONATION"]
)
def test_what_needs_a_person_is_parked_with_its_name(code: str, success: str) -> None:
    """Known or not: it may be money, and is not booked."""
    event = read(code, success=success)
    assert isinstance(event, events.Unmapped)
    assert (event.kind, event.order_no) == (code + ("" if success == "true" else ":false"), "")
    assert event.detail.endswith("; payment NC6HT9CRT65ZGN82")


@pytest.mark.parametrize("code", ["SOMETHING_NEW", "VOID_PENDING_REFUND", "AUTORESCUE"])
def test_what_is_only_parked_obeys_no_rule_of_payments(code: str) -> None:
    """A rejected message holds up Adyen's queue."""
    for changes in ({"pspReference": "a:b"}, {"originalReference": "x:y"}, {"amount": None}):
        assert isinstance(read(code, **changes), events.Unmapped)


def test_captured_by_adyen_an_authorisation_is_paid() -> None:
    paid = events.PaymentSucceeded("NC6HT9CRT65ZGN82", "SO-1001", Decimal(199), "EUR", AT)
    assert read("AUTHORISATION", of=PAYMENT) == paid
    # Delayed, it may be reported all the same: it is that payment.
    whole = {"currency": "EUR", "value": 19900}
    captured = read("CAPTURE", amount=whole)
    assert captured == events.PaymentSucceeded("NC6HT9CRT65ZGN82", "", Decimal(199), "EUR", AT)


@pytest.mark.parametrize("capture", ["manual", "several"])
def test_captured_by_the_merchant_an_authorisation_is_not_paid(capture: str) -> None:
    event = read("AUTHORISATION", ALL[capture], of=PAYMENT)
    assert event == events.Noted("AUTHORISATION:authorised", AT)


@pytest.mark.parametrize("capture", ["manual", "several"])
def test_some_methods_are_captured_at_once_all_the_same(capture: str) -> None:
    """No message tells of their capture: all that is told of them is read as captured by Adyen."""
    options = OPTIONS | {"capture": capture, "captured_at_once": ["ideal", "bcmc"]}
    adapter = adyen.adapter(account(SECRET, **options))
    paid = read("AUTHORISATION", adapter, of=PAYMENT, paymentMethod="ideal")
    assert paid == read("AUTHORISATION", of=PAYMENT)
    assert read("REFUND", adapter, paymentMethod="ideal") == events.RefundSucceeded(**BACK)
    others: list[Any] = ["visa", None, 7, ["ideal"], {}]
    for other in others:
        card = read("AUTHORISATION", adapter, of=PAYMENT, paymentMethod=other)
        assert card == events.Noted("AUTHORISATION:authorised", AT)


def test_captured_by_the_merchant_what_was_captured_is_paid() -> None:
    """Less than was authorised: the rest is released. Later messages name the authorisation."""
    assert read("CAPTURE", MANUAL, merchantReference="SO-1001") == events.PaymentSucceeded(
        "NC6HT9CRT65ZGN82", "SO-1001", Decimal(9), "EUR", AT
    )
    assert read("REFUND", MANUAL) == events.RefundSucceeded(**BACK)


def test_each_of_several_captures_is_a_payment() -> None:
    for psp, minor in (("CAP1", 500), ("CAP2", 500)):
        event = read(
            "CAPTURE",
            SEVERAL,
            pspReference=psp,
            merchantReference="SO-1001",
            amount={"currency": "EUR", "value": minor},
        )
        assert event == events.PaymentSucceeded(psp, "SO-1001", Decimal(5), "EUR", AT)


@pytest.mark.parametrize("code", ["REFUND", "REFUND_FAILED", "REFUNDED_REVERSED", "CHARGEBACK"])
def test_what_goes_back_of_several_captures_is_parked(code: str) -> None:
    """Adyen names the authorisation, and does not sign which capture is meant."""
    assert isinstance(read(code, SEVERAL), events.Unmapped)


@pytest.mark.parametrize("capture", sorted(ALL))
@pytest.mark.parametrize(
    ("changes", "ending"),
    [({"success": "false"}, ":false"), ({"amount": {"currency": "EUR", "value": 0}}, ":zero")],
)
def test_declined_or_of_nothing(capture: str, changes: Any, ending: str) -> None:
    event = read("AUTHORISATION", ALL[capture], of=PAYMENT, **changes)
    assert event == events.Noted(f"AUTHORISATION{ending}", AT)


@pytest.mark.parametrize("code", ["CANCELLATION", "TECHNICAL_CANCEL"])
def test_a_cancelled_authorisation_is_money_back_where_it_was_booked(code: str) -> None:
    assert read(code) == events.RefundSucceeded(**BACK)
    assert read(code, success="false") == events.Noted(f"{code}:false", AT)
    for adapter in (MANUAL, SEVERAL):
        assert read(code, adapter) == events.Noted(code, AT)


@pytest.mark.parametrize("code", ["EXPIRE", "AUTHORISATION_ADJUSTMENT"])
def test_a_changed_authorisation_is_parked_where_it_was_booked(code: str) -> None:
    assert isinstance(read(code), events.Unmapped)
    for adapter in (MANUAL, SEVERAL):
        assert read(code, adapter) == events.Noted(code, AT)


@pytest.mark.parametrize("code", ["REFUND", "CANCEL_OR_REFUND", "REFUND_WITH_DATA"])
def test_every_refund_is_itself_alone(code: str) -> None:
    """And one that was declined is a failed one: the buyer has not received the money."""
    assert read(code) == events.RefundSucceeded(**BACK)
    assert read(code, success="false") == events.RefundFailed(**BACK)
    assert isinstance(read(code, originalReference=""), events.Unmapped)
    assert isinstance(read(code, originalReference="", success="false"), events.Unmapped)


@pytest.mark.parametrize("code", ["REFUND_FAILED", "REFUNDED_REVERSED"])
def test_a_failed_refund_names_the_refund_that_failed(code: str) -> None:
    assert read(code) == events.RefundFailed(**BACK)
    assert isinstance(read(code, success="false"), events.Unmapped)


def test_a_failed_capture_takes_the_payment_back() -> None:
    lost = dispute("CAPTURE_FAILED", "lost")
    assert read("CAPTURE_FAILED") == read("CAPTURE_FAILED", MANUAL) == lost
    of_its_own = dispute("CAPTURE_FAILED", "lost", transaction_id="KHQC5N7G84BLNK43")
    assert read("CAPTURE_FAILED", SEVERAL) == of_its_own


@pytest.mark.parametrize("adapter", ALL.values())
@pytest.mark.parametrize(
    "changes",
    [
        {"eventCode": "CAPTURE", "success": "false"},
        {"eventCode": "CAPTURE", "reason": "Transaction Auto-recaptured"},
        {"eventCode": "CAPTURE_FAILED", "success": "false"},
        {"eventCode": "CAPTURE_FAILED", "amount": {"currency": "EUR", "value": 0}},
        {"eventCode": "ORDER_CLOSED", "success": "false"},
    ],
)
def test_what_a_person_must_look_at_is_parked(adapter: contract.Adapter, changes: Any) -> None:
    assert isinstance(read_one(adapter, signed(REFUND | changes)), events.Unmapped)


def test_a_gift_card_and_a_card_are_two_payments_of_one_order() -> None:
    """What opens and closes the order of Adyen says nothing that they did not say."""
    opened = REFUND | {"originalReference": "", "merchantReference": "SO-1001"}
    assert read("ORDER_OPENED", of=opened) == events.Noted("ORDER_OPENED", AT)
    parts = [
        read("AUTHORISATION", of=PAYMENT, pspReference=psp, amount=amount)
        for psp, amount in (
            ("GIFTCARD00000001", {"currency": "EUR", "value": 5000}),
            ("CARD000000000001", {"currency": "EUR", "value": 14900}),
        )
    ]
    assert [each.amount for each in parts if isinstance(each, events.PaymentSucceeded)] == [50, 149]
    assert [events.names(each) for each in parts] == [("GIFTCARD00000001",), ("CARD000000000001",)]
    assert read("ORDER_CLOSED", of=opened) == events.Noted("ORDER_CLOSED", AT)
    not_paid = read("ORDER_CLOSED", success="false", of=opened)
    assert isinstance(not_paid, events.Unmapped)
    assert not_paid.order_no == "SO-1001"


@pytest.mark.parametrize("code", sorted(adyen_disputes.STATES))
def test_every_stage_of_a_dispute(code: str) -> None:
    assert read(code) == read(code, MANUAL) == dispute(code, adyen_disputes.STATES[code])


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("REQUEST_FOR_INFORMATION", "opened"),
        ("NOTIFICATION_OF_CHARGEBACK", "opened"),
        ("CHARGEBACK", "lost"),
        ("CHARGEBACK_REVERSED", "won"),
        ("SECOND_CHARGEBACK", "lost"),
        ("PREARBITRATION_WON", "won"),
        ("PREARBITRATION_LOST", "lost"),
        ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "won"),
        ("DISPUTE_DEFENSE_PERIOD_ENDED", "lost"),
    ],
)
def test_where_the_money_is_at_each_stage(code: str, state: str) -> None:
    assert adyen_disputes.STATES[code] == state


@pytest.mark.parametrize("code", sorted(adyen_disputes.STATES))
@pytest.mark.parametrize(
    "changes",
    [
        {"success": "false"},
        {"originalReference": ""},
        {"amount": None},
        {"pspReference": "A B"},
        {"amount": {"currency": "EUR", "value": 0}},
    ],
)
def test_a_dispute_that_cannot_be_booked_is_parked(code: str, changes: Any) -> None:
    """Without a setting, Adyen names the payment in no message after the chargeback."""
    assert isinstance(read(code, **changes), events.Unmapped)


@pytest.mark.parametrize(
    ("ends_at", "due_at"),
    [
        ("2026-12-18T10:15:30+01:00", datetime(2026, 12, 18, 9, 15, 30, tzinfo=UTC)),
        ((AT - timedelta(days=1)).isoformat(), None),
        ("soon", None),
        (7, None),
        (["x"], None),
        (None, None),
    ],
)
def test_until_when_a_dispute_can_be_answered(ends_at: Any, due_at: datetime | None) -> None:
    """It is not signed: it informs, and an odd one costs nothing."""
    code = "NOTIFICATION_OF_CHARGEBACK"
    additional = {"defensePeriodEndsAt": ends_at, "chargebackReasonCode": "10.4"}
    expected = dispute(code, "opened", reason=f"{code} 10.4", due_at=due_at)
    assert read(code, additionalData=additional) == expected
    assert read("CHARGEBACK", additionalData={"chargebackReasonCode": "a b"}) == dispute(
        "CHARGEBACK", "lost"
    )
