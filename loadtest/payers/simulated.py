"""Payers over the simulators of ``ops.simulators``."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args
from urllib.parse import parse_qsl

import orjson

from loadtest.payers.contract import Forgery, Message, Payment, Posted, Refund, Report, once
from ops.simulators import registry
from ops.simulators.contract import Kind, Trade

#: The keys of a message in the history of orders, and its transaction id.
_Identity = tuple[tuple[str, ...], str]


class SimulatedPayer:
    """An account of its own at a simulated provider.

    ``identity`` reads from a genuine message what identifies it. ``is_cumulative`` is a property
    of the provider's protocol: whether it reports the total of all refunds so far.
    """

    def __init__(
        self, provider: str, identity: Callable[[Kind, Posted], _Identity], *, is_cumulative: bool
    ) -> None:
        module = registry.provider(provider)
        self.provider = provider
        self.account = module.create()
        self.secrets: Sequence[str] = self.account.secrets
        self.options = self.account.options
        self.forgeries: Sequence[Forgery] = sorted(module.FORGERIES)
        self.is_cumulative = is_cumulative
        self.others = frozenset(kind for kind in get_args(Report) if kind in module.KINDS)
        self._simulator = module.simulator(self.account)
        self._identity = identity

    def pay(self, payment: Payment) -> Message:
        """Make the message about a payment."""
        return self._message("paid", _trade(payment))

    def refund(self, refund: Refund) -> Message:
        """Make the message about a refund. Raises ``ValueError`` for a second partial one."""
        is_full = refund.total == refund.payment.amount
        if not is_full and refund.amount != refund.total:
            raise ValueError(
                "a simulator supports one partial refund, and one of the remaining amount"
            )
        before = refund.total - refund.amount if is_full else refund.amount
        return self._message(
            "refund" if is_full else "partial_refund", _trade(refund.payment, refunded=before)
        )

    def report(self, kind: Report, payment: Payment, *, back: Decimal) -> Message:
        """Make the message that a refund of ``back`` failed, or about a dispute or a parcel."""
        return self._message(kind, _trade(payment, refunded=back))

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """Make a message that must be rejected. Every attempt sends the same bytes."""
        trade = _trade(payment)
        keys, transaction_id, _ = self._message("paid", trade)
        sign = once(lambda: self._simulator.forged(how, "paid", trade, at=datetime.now(UTC)))
        return Message(keys, transaction_id, sign)

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Return whether the provider takes this answer for an acknowledgement."""
        return self._simulator.is_acknowledged(status, "", body)

    def _message(self, kind: Kind, trade: Trade) -> Message:
        attempts = itertools.count()

        def sign() -> Posted:
            now = datetime.now(UTC)
            return self._simulator.message(kind, trade, at=now, attempt=next(attempts))

        first = self._simulator.message(kind, trade, at=datetime.now(UTC))
        return Message(*self._identity(kind, first), sign)


def standard_webhooks() -> SimulatedPayer:
    """Make a sender of Standard Webhooks; each refund is reported alone."""
    return SimulatedPayer("standard_webhooks", _standard_webhooks_identity, is_cumulative=False)


def alipay() -> SimulatedPayer:
    """Make an app at Alipay; a refund reports the total so far, and the payment again."""
    return SimulatedPayer("alipay", _alipay_identity, is_cumulative=True)


def _standard_webhooks_identity(kind: Kind, posted: Posted) -> _Identity:
    data = orjson.loads(posted.body)["data"]
    return (posted.headers["webhook-id"],), data.get("transaction_id", "")


def _alipay_identity(kind: Kind, posted: Posted) -> _Identity:
    notice = dict(parse_qsl(posted.body.decode()))
    key = notice["notify_id"]
    return ((key,) if kind == "paid" else (f"{key}:paid", key)), notice["trade_no"]


def _trade(payment: Payment, *, refunded: Decimal = Decimal(0)) -> Trade:
    return Trade(
        serial=payment.serial,
        order_no=payment.order_no,
        amount=payment.amount,
        refunded=refunded,
        currency=payment.currency,
    )
