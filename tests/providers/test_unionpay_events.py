"""How UnionPay's adapter reads genuine notices, and its configuration."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract, unionpay
from ops.simulators import unionpay as simulated
from ops.simulators.contract import Account, Trade

from .support import NOW, account, message, read_one, rejection, verdict
from .unionpay_samples import (
    ADAPTER,
    FIELDS,
    ISSUERS,
    LEAF,
    MER_ID,
    OCA_NAME,
    PAID,
    PAID_AT,
    PAYMENT,
    REFUND,
    REFUNDED,
    REFUNDED_AT,
    certificate,
    named,
    new_key,
    notice,
    oca,
    root,
)

pytestmark = pytest.mark.usefixtures("pooled_keys")

TRADE = Trade("T1", "SO1001", Decimal("199.00"), Decimal("9.01"), "CNY")


def test_payment() -> None:
    """A successful payment: fen, GMT+8, known by its queryId and type."""
    assert ADAPTER.read(PAID).items == [contract.Item("201703241011516777928:01", PAYMENT)]


def test_success_with_a_defect_is_success() -> None:
    """A6 is a success that UnionPay has yet to finish with the bank."""
    assert ADAPTER.read(notice({"respCode": "A6"})) == ADAPTER.read(PAID)


@pytest.mark.parametrize("kind", ["04", "31"])
def test_refund(kind: str) -> None:
    """A refund, or the undoing of a payment, is found by the payment's queryId."""
    reading = ADAPTER.read(notice({**REFUND, "txnType": kind}))
    assert reading.items == [contract.Item(f"052401051658427863998:{kind}", REFUNDED)]


def test_refund_may_lack_a_currency() -> None:
    """The currency is that of the payment; another one than CNY is never assumed."""
    assert read_one(ADAPTER, notice({**REFUND, "currencyCode": None})) == REFUNDED


@pytest.mark.parametrize(
    ("changes", "kind", "order_no", "says"),
    [
        ({"txnType": "11"}, "txnType_11", "SO1001000001", "txnType 11"),
        ({"txnType": "1"}, "txnType_1", "SO1001000001", "txnType 1"),
        ({"currencyCode": "344"}, "payment", "SO1001000001", "156"),
        ({"currencyCode": "CNY"}, "payment", "SO1001000001", "156"),
        ({"currencyCode": None}, "payment", "SO1001000001", "156"),
        ({**REFUND, "currencyCode": "840"}, "refund", "", "156"),
        ({**REFUND, "origQryId": None}, "refund", "", "origQryId"),
        ({**REFUND, "respCode": "34", "origQryId": None}, "refund_failed", "", "respCode 34"),
        ({**REFUND, "respCode": "34", "queryId": None}, "refund_failed", "", "respCode 34"),
        ({**REFUND, "txnType": "31", "respCode": "05"}, "refund_failed", "", "respCode 05"),
        ({"respCode": "03"}, "payment", "SO1001000001", "respCode 03"),
    ],
)
def test_what_cannot_be_booked_is_parked(
    changes: dict[str, str | None], kind: str, order_no: str, says: str
) -> None:
    """A genuine notice for us that is no payment or refund in CNY is parked."""
    event = read_one(ADAPTER, notice(changes))
    assert isinstance(event, events.Unmapped)
    assert (event.kind, event.order_no) == (kind, order_no)
    assert event.occurred_at in (PAID_AT, REFUNDED_AT)
    assert says in event.detail


def test_failed_payment_is_noted() -> None:
    """What failed for good leaves the order unpaid."""
    reading = ADAPTER.read(notice({"respCode": "34"}))
    noted = events.Noted("txnType_01:34", PAID_AT)
    assert reading.items == [contract.Item("201703241011516777928:01:34", noted)]


def test_success_after_failure_is_no_repeat() -> None:
    """A transaction that failed or hung may succeed later: its success has a key of its own."""
    keys = [
        ADAPTER.read(notice({**REFUND, "respCode": code})).items[0].key for code in ("05", "00")
    ]
    assert keys[0] != keys[1]


def test_failed_early() -> None:
    """What failed before it had a queryId is named by order number and time."""
    (item,) = ADAPTER.read(notice({"queryId": None, "respCode": "10"})).items
    assert item.key == "SO1001000001:20261123115930:01:10"


@pytest.mark.parametrize(
    "changes",
    [
        {"txnAmt": None},
        {"txnAmt": ""},
        {"txnAmt": "88.80"},
        {"txnAmt": "-1"},
        {"txnAmt": "+1"},
        {"txnAmt": "1e3"},
        {"txnAmt": "1_000"},
        {"txnAmt": "1" * 13},
        {"txnAmt": "9" * 4000},
        {"txnAmt": "\u0661"},
        {"txnAmt": " 1"},
        {"txnAmt": "1\n"},
        {"queryId": None},
        {"queryId": ""},
        {"queryId": "1" * 129},
        {"txnType": None},
        {"txnType": "支付"},
        {"txnType": "1" * 9},
        {"respCode": None},
        {"respCode": "0 0"},
        {**REFUND, "txnAmt": "0"},
        {**REFUND, "origQryId": "1" * 129},
        {**REFUND, "origQryId": "订"},
        {"txnType": "03", "txnAmt": ""},
        {**REFUND, "txnType": "33", "txnAmt": ""},
    ],
)
def test_malformed_notices_are_parked(changes: dict[str, str | None]) -> None:
    """Fields that the ledger needs are missing or out of bounds; the notice is genuine."""
    (item,), (again,) = (ADAPTER.read(notice(changes)).items for _ in range(2))
    assert isinstance(item.event, events.Unmapped)
    assert item.event.detail
    assert (item.key, 1 <= len(item.key) <= 128) == (again.key, True)


@pytest.mark.parametrize("number", [None, "SO 1", "S\x00", "S" * 65, "订单"])
def test_money_counts_whatever_the_order_is_called(number: str | None) -> None:
    result = read_one(ADAPTER, notice({"orderId": number}))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.order_no == ""


@pytest.mark.parametrize(
    "time",
    [
        None, "2026112311593", "20260230115930", "20261123245930", "00010101000000",
        "99991231235959", "20261123115930\n",
    ],
)  # fmt: skip
def test_money_counts_without_a_time_that_can_be_read(time: str | None) -> None:
    result = read_one(ADAPTER, notice({"txnTime": time}))
    assert isinstance(result, events.PaymentSucceeded)
    assert result.occurred_at == NOW


@pytest.mark.parametrize("mer_id", [None, "", "777290058110049", MER_ID.lower() + "0"])
def test_another_merchant_is_not_ours(mer_id: str | None) -> None:
    """UnionPay signs for every merchant with the same key."""
    assert rejection(ADAPTER, notice({"merId": mer_id})) == "not_ours"


odd_text = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(
        ["", "0", "00", "A6", "01", "04", "31", "156", "-0", "NaN", "9" * 3000, "\x00"]
    ),
    st.sampled_from(["20991231235959", "20000101000000", "20000101075959", "5.1.0", "&a=b"]),
)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS | REFUND)), st.none() | odd_text, max_size=3))
def test_bent_notices_are_storable_or_rejected(changes: dict[str, str | None]) -> None:
    """Any content that UnionPay could sign is rejected or storable."""
    verdict(ADAPTER, notice({**REFUND, **changes}))
    verdict(ADAPTER, notice(changes))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [("accepted", 200, b"ok"), ("later", 503, b"fail"), ("rejected", 400, b"fail")],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """UnionPay checks the status: 200 or 302 is sent only after a commit."""
    reply = ADAPTER.reply(answer)
    assert (reply.status, reply.body) == (status, body)
    simulator = simulated.simulator(simulated.create())
    is_acknowledged = simulator.is_acknowledged(reply.status, reply.content_type, reply.body)
    assert is_acknowledged == (answer == "accepted")


def test_wrong_configuration() -> None:
    """A wrong account raises an error that names the setting."""
    ours = {"mer_id": MER_ID}
    own, weak = new_key("own"), new_key("weak", 1024)
    no_authority = certificate(OCA_NAME, OCA_NAME, own, own)
    small = certificate(named("S"), named("S"), weak, weak)
    cases: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
        ((), ours, "1 or 2 secrets"),
        ((ISSUERS,) * 3, ours, "1 or 2 secrets"),
        (("",), ours, "CFCA's root and intermediate"),
        (("not a certificate",), ours, "CFCA's root and intermediate"),
        (("\udcff",), ours, "CFCA's root and intermediate"),
        ((ISSUERS[:300],), ours, "CFCA's root and intermediate"),
        ((oca(),), ours, "without the root"),
        ((LEAF + ISSUERS,), ours, "may not issue"),
        ((no_authority,), ours, "may not issue"),
        ((small,), ours, "RSA of 1024 bits"),
        ((ISSUERS,), {}, "mer_id"),
        ((ISSUERS,), {"mer_id": 777290058110048}, "mer_id"),
        ((ISSUERS,), {"mer_id": "77729005811004"}, "mer_id"),
        ((ISSUERS,), {**ours, "organisations": []}, "organisations"),
        ((ISSUERS,), {**ours, "organisations": ["a@b"]}, "organisation"),
        ((ISSUERS,), {**ours, "version": "5.0.0"}, "version"),
    ]
    for secrets, options, says in cases:
        with pytest.raises(ValueError, match=says) as caught:
            unionpay.adapter(account(*secrets, **options))
        assert "shop" in str(caught.value)
        assert "BEGIN" not in str(caught.value)


def test_the_root_alone_may_be_the_issuer() -> None:
    """A root without an intermediate is a valid account."""
    adapter = unionpay.adapter(account(root(), mer_id=MER_ID))
    assert rejection(adapter, PAID) == "bad_signature"


def simulate(ours: Account, kind: Any, at: datetime = NOW) -> events.Event:
    posted = simulated.simulator(ours).message(kind, TRADE, at=at)
    adapter = unionpay.adapter(account(*ours.secrets, **ours.options))
    return read_one(adapter, message(posted.body, posted.headers))


def test_the_simulator_sends_every_kind() -> None:
    """Paid, refunded in part, refunded for the rest: the adapter reads what the simulator sends."""
    ours = simulated.create()
    read = {kind: simulate(ours, kind) for kind in simulated.KINDS}
    paid, part, rest = (read[kind] for kind in ("paid", "partial_refund", "refund"))
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(part, events.RefundSucceeded)
    assert isinstance(rest, events.RefundSucceeded)
    assert (paid.order_no, paid.amount, paid.currency, paid.occurred_at) == (
        "SO1001",
        Decimal("199.00"),
        "CNY",
        NOW,
    )
    assert paid.transaction_id == part.transaction_id == rest.transaction_id
    assert (part.amount, rest.amount) == (Decimal("9.01"), Decimal("189.99"))
    assert part.refund_no != rest.refund_no


def test_the_simulator_repeats_itself() -> None:
    """A repeat is the same in every byte."""
    simulator = simulated.simulator(simulated.create())
    first, again = (simulator.message("paid", TRADE, at=NOW, attempt=n) for n in (0, 1))
    assert first == again


def test_the_simulator_needs_unionpays_key() -> None:
    """With the options of a real account alone, the simulator cannot sign and raises an error."""
    made = simulated.create()
    with pytest.raises(ValueError, match="only UnionPay has"):
        simulated.simulator(Account(made.secrets, made.options, {}))
    with pytest.raises(ValueError, match="no certificate"):
        simulated.simulator(Account(made.secrets, made.options, {"key": made.private["key"]}))


@pytest.mark.parametrize(
    "wrong",
    [
        Trade("T", "SO1", Decimal("1.001"), Decimal(0), "CNY"),
        Trade("T", "SO1", Decimal("1.00"), Decimal(0), "USD"),
    ],
)
def test_the_simulator_rejects_money_it_cannot_express(wrong: Trade) -> None:
    """Only whole fen of CNY."""
    with pytest.raises(ValueError, match="amounts"):
        simulated.simulator(simulated.create()).message("paid", wrong, at=NOW)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("foreign_key", "bad_signature"),
        ("changed", "bad_signature"),
        ("unsigned", "missing_signature"),
        ("not_ours", "not_ours"),
    ],
)
def test_simulated_forgeries_are_rejected(how: Any, reason: str) -> None:
    """Every forgery of every kind is rejected for the expected reason."""
    ours = simulated.create()
    assert how in simulated.FORGERIES
    adapter = unionpay.adapter(account(*ours.secrets, **ours.options))
    simulator = simulated.simulator(ours)
    for kind in sorted(simulated.KINDS):
        posted = simulator.forged(how, kind, TRADE, at=NOW)
        assert rejection(adapter, message(posted.body, posted.headers)) == reason
