"""The simulated WeChat Pay: its messages are read, its forgeries are rejected."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import events
from gateway.providers import contract, wechatpay
from ops.simulators import wechatpay as simulated
from ops.simulators.contract import Account, Trade

from .support import NOW, account, message, rejection
from .wechatpay_samples import ADAPTER

pytestmark = pytest.mark.usefixtures("pooled_keys")

TRADE = Trade("T1", "SO-1001", Decimal("199.00"), Decimal("9.01"), "CNY")


def simulate(ours: Account, kind: Any, attempt: int = 0) -> contract.Reading:
    posted = simulated.simulator(ours).message(kind, TRADE, at=NOW, attempt=attempt)
    adapter = wechatpay.adapter(account(*ours.secrets, **ours.options))
    return adapter.read(message(posted.body, posted.headers))


def test_the_simulator_sends_every_kind() -> None:
    """Paid, refunded in part, refunded for the rest: the adapter reads what the simulator sends."""
    ours = simulated.create()
    read = {kind: simulate(ours, kind) for kind in simulated.KINDS - {"probe"}}
    assert read["ping"].items == []
    (item,) = read["paid"].items
    payment = item.event
    assert isinstance(payment, events.PaymentSucceeded)
    assert (payment.order_no, payment.amount, payment.currency, payment.occurred_at) == (
        "SO-1001",
        Decimal("199.00"),
        "CNY",
        NOW,
    )
    amounts = {}
    for kind in ("partial_refund", "refund"):
        (item,) = read[kind].items
        refund = item.event
        assert isinstance(refund, events.RefundSucceeded)
        assert refund.transaction_id == payment.transaction_id
        amounts[refund.refund_no] = refund.amount
    assert sorted(amounts.values()) == [Decimal("9.01"), Decimal("189.99")]


def test_the_simulator_repeats_under_either_key() -> None:
    """A repeat has the same id and content, a new signature, and the other key."""
    ours = simulated.create()
    simulator = simulated.simulator(ours)
    first, again = (simulator.message("paid", TRADE, at=NOW, attempt=n) for n in (0, 1))
    serials = {posted.headers["Wechatpay-Serial"] for posted in (first, again)}
    assert {serial.startswith("PUB_KEY_ID_") for serial in serials} == {True, False}
    assert first.headers["Wechatpay-Nonce"] != again.headers["Wechatpay-Nonce"]
    assert simulate(ours, "paid") == simulate(ours, "paid", attempt=1)


def test_the_simulator_plays_a_service_provider() -> None:
    """With sub_mchids the simulated callbacks are those of a service provider's merchant."""
    made = simulated.create()
    options = {**made.options, "sub_mchids": ["1900000200"]}
    partner = Account(made.secrets, options, made.private)
    for kind in ("paid", "refund"):
        assert simulate(partner, kind).items
    assert simulate(partner, "paid").items[0].key == simulate(made, "paid").items[0].key


def test_the_simulator_needs_the_providers_key() -> None:
    """With the options of a real account alone, the simulator cannot sign and raises an error."""
    made = simulated.create()
    with pytest.raises(ValueError, match="only the provider has those"):
        simulated.simulator(Account(made.secrets, made.options, {}))


@pytest.mark.parametrize(
    ("how", "reasons"),
    [
        ("foreign_key", {"bad_signature"}),
        ("changed", {"bad_signature"}),
        ("unsigned", {"missing_signature"}),
        ("stale", {"stale"}),
        ("not_ours", {"not_ours", "malformed"}),
    ],
)
def test_simulated_forgeries_are_rejected(how: Any, reasons: set[str]) -> None:
    """Every forgery of every kind is rejected for the expected reason."""
    ours = simulated.create()
    assert how in simulated.FORGERIES
    adapter = wechatpay.adapter(account(*ours.secrets, **ours.options))
    simulator = simulated.simulator(ours)
    for kind in sorted(simulated.KINDS):
        posted = simulator.forged(how, kind, TRADE, at=NOW)
        assert rejection(adapter, message(posted.body, posted.headers)) in reasons
    probe = simulator.message("probe", TRADE, at=NOW)
    assert rejection(adapter, message(probe.body, probe.headers)) == "probe"


def test_the_simulator_knows_an_acknowledgement() -> None:
    """WeChat Pay believes the status, whatever the body says."""
    simulator = simulated.simulator(simulated.create())
    for answer in ("accepted", "later", "rejected"):
        reply = ADAPTER.reply(answer)
        is_acknowledged = simulator.is_acknowledged(reply.status, reply.content_type, reply.body)
        assert is_acknowledged == (answer == "accepted")
    assert simulator.is_acknowledged(204, "", b"")
    assert not simulator.is_acknowledged(201, "", b"")
