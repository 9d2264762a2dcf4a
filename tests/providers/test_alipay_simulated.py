"""The simulated Alipay: its messages are read, its forgeries are rejected."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import events
from gateway.providers import alipay, contract
from ops.simulators import alipay as simulated
from ops.simulators.contract import Account, Trade

from .alipay_samples import ADAPTER
from .support import NOW, account, message, rejection

pytestmark = pytest.mark.usefixtures("pooled_keys")

TRADE = Trade("T1", "SO-1001", Decimal("199.00"), Decimal("9.01"), "CNY")


def read(ours: Account, kind: Any, **how: Any) -> contract.Reading:
    posted = simulated.simulator(ours).message(kind, TRADE, **{"at": NOW, **how})
    adapter = alipay.adapter(account(*ours.secrets, **ours.options))
    return adapter.read(message(posted.body, posted.headers))


@pytest.mark.parametrize("charset", ["utf-8", "gbk", "gb2312"])
def test_the_simulator_sends_every_kind(charset: Any) -> None:
    """Paid, refunded in part or in all, or closed: the adapter reads what the simulator sends."""
    ours = simulated.create(charset=charset)
    (paid,) = read(ours, "paid").items
    payment = paid.event
    assert isinstance(payment, events.PaymentSucceeded)
    assert (payment.order_no, payment.amount, payment.currency, payment.occurred_at) == (
        "SO-1001",
        Decimal("199.00"),
        "CNY",
        NOW,
    )
    for kind, total in (("partial_refund", "9.01"), ("refund", "199.00")):
        again, refund = read(ours, kind).items
        assert again.event == payment
        assert isinstance(refund.event, events.RefundSucceeded)
        assert refund.event.transaction_id == payment.transaction_id
        assert (refund.event.amount, refund.event.cumulative) == (Decimal(total), True)
    (closed,) = read(ours, "closed").items
    assert closed.event == events.Closed("SO-1001", "timed_out", NOW, only_unpaid=True)


def test_a_repeat_keeps_its_notify_id() -> None:
    """Sent again later, the notice has another time, another signature and the same key."""
    ours = simulated.create()
    later = NOW + timedelta(minutes=4)
    simulator = simulated.simulator(ours)
    first, again = (simulator.message("paid", TRADE, at=at) for at in (NOW, later))
    assert first.body != again.body
    keys = {read(ours, "paid", at=at, attempt=n).items[0].key for n, at in enumerate((NOW, later))}
    assert len(keys) == 1


def test_old_messages_sign_their_type() -> None:
    """With keep_sign_type the simulator signs as the old messages are signed."""
    made = simulated.create()
    old = Account(made.secrets, {**made.options, "keep_sign_type": True}, made.private)
    assert read(old, "paid") == read(made, "paid")


def test_the_simulator_needs_what_only_alipay_has() -> None:
    """With the options of a real account alone, the simulator cannot sign and raises an error."""
    made = simulated.create()
    with pytest.raises(ValueError, match="only Alipay has"):
        simulated.simulator(Account(made.secrets, made.options, {}))
    with pytest.raises(ValueError, match="charset"):
        private = {**made.private, "charset": "utf-16"}
        simulated.simulator(Account(made.secrets, made.options, private))


@pytest.mark.parametrize(
    ("kind", "trade"),
    [
        ("paid", Trade("T", "SO", Decimal("1.001"), Decimal(0), "CNY")),
        ("paid", Trade("T", "SO", Decimal("1.00"), Decimal(0), "USD")),
        ("shipped", TRADE),
    ],
)
def test_the_simulator_rejects_what_it_cannot_express(kind: Any, trade: Trade) -> None:
    """Amounts in the account's currency with two decimals, and kinds that Alipay sends."""
    with pytest.raises(ValueError, match=r"amounts|sends no message"):
        simulated.simulator(simulated.create()).message(kind, trade, at=NOW)


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
    adapter = alipay.adapter(account(*ours.secrets, **ours.options))
    simulator = simulated.simulator(ours)
    for kind in sorted(simulated.KINDS):
        posted = simulator.forged(how, kind, TRADE, at=NOW)
        assert rejection(adapter, message(posted.body, posted.headers)) == reason


def test_the_simulator_knows_an_acknowledgement() -> None:
    """Alipay requires 200 and the seven bytes, nothing more."""
    simulator = simulated.simulator(simulated.create())
    for answer in ("accepted", "later", "rejected"):
        reply = ADAPTER.reply(answer)
        is_acknowledged = simulator.is_acknowledged(reply.status, reply.content_type, reply.body)
        assert is_acknowledged == (answer == "accepted")
    for status, body in ((200, b"success\n"), (200, b'"success"'), (200, b""), (302, b"success")):
        assert not simulator.is_acknowledged(status, "text/plain", body)
