"""The payers of the demo: what they say of a message is what the gateway reads in it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.domain import errors, events
from gateway.providers import contract, registry
from loadtest import payers
from loadtest.payers.contract import Message, Payer, Payment, Refund
from tests.providers.support import account, message

DUE, PART = Decimal("199.00"), Decimal("9.50")
PAYMENT = Payment("demo1", "demo-1", DUE, "CNY")
IDS = ["control", "standard_webhooks", "alipay"]
Read = Callable[[Message], contract.Reading]


@pytest.fixture(params=range(len(IDS)), ids=IDS)
def payer(request: pytest.FixtureRequest) -> Payer:
    at: int = request.param
    return payers.create()[at]


@pytest.fixture
def read(payer: Payer) -> Read:
    """Reads one attempt as the gateway does that is configured with the payer's account."""
    adapter = registry.build(payer.provider, account(*payer.secrets, **payer.options))

    def read_now(sent: Message) -> contract.Reading:
        posted = sent.sign()
        return adapter.read(message(posted.body, posted.headers, now=datetime.now(UTC)))

    return read_now


def test_a_payment_is_read_as_it_was_told(payer: Payer, read: Read) -> None:
    paid = payer.pay(PAYMENT)
    for _ in range(3):
        (item,) = read(paid).items
        assert (item.key,) == paid.keys
        assert isinstance(item.event, events.PaymentSucceeded)
        assert item.event.transaction_id == paid.transaction_id
        assert (item.event.order_no, item.event.amount, item.event.currency) == (
            PAYMENT.order_no,
            DUE,
            "CNY",
        )


@pytest.mark.parametrize(
    "refunds",
    [
        [Refund(PAYMENT, 1, PART, PART)],
        [Refund(PAYMENT, 1, DUE, DUE)],
        [Refund(PAYMENT, 1, PART, PART), Refund(PAYMENT, 2, DUE - PART, DUE)],
    ],
    ids=["a part", "all", "a part and the rest"],
)
def test_a_refund_is_read_as_it_was_told(payer: Payer, read: Read, refunds: list[Refund]) -> None:
    for refund in refunds:
        sent = payer.refund(refund)
        items = read(sent).items
        assert {item.key for item in items} == set(sent.keys)
        (event,) = [each.event for each in items if isinstance(each.event, events.RefundSucceeded)]
        assert event.transaction_id == sent.transaction_id == payer.pay(PAYMENT).transaction_id
        assert event.cumulative == payer.is_cumulative
        assert event.amount == (refund.total if payer.is_cumulative else refund.amount)


def test_no_two_messages_have_a_key_in_common(payer: Payer) -> None:
    other = PAYMENT._replace(serial="demo2", order_no="demo-2")
    sent = [
        payer.pay(PAYMENT),
        payer.pay(other),
        payer.refund(Refund(PAYMENT, 1, PART, PART)),
        payer.refund(Refund(PAYMENT, 2, DUE - PART, DUE)),
    ]
    keys = [key for each in sent for key in each.keys]
    assert len(set(keys)) == len(keys)


def test_every_forgery_is_refused(payer: Payer, read: Read) -> None:
    assert len(payer.forgeries) >= 4
    for how in payer.forgeries:
        with pytest.raises(errors.Rejected):
            read(payer.forge(PAYMENT, how))


def test_only_what_the_protocol_asks_for_is_an_acknowledgement(payer: Payer) -> None:
    assert payer.is_acknowledged(200, b"success")
    assert not payer.is_acknowledged(503, b"success")
    assert payer.is_acknowledged(200, b"{}") == (payer.provider != "alipay")
