"""What a simulation prints: each message or their counts, and what they did to the order."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from ops import tables
from ops.failures import Failure
from ops.simulation import script
from ops.simulation.orders import Event, Order
from ops.simulators.registry import Provider
from ops.simulators.sending import Sent, Step

#: Messages that are printed one by one.
SHOWN_MAX = 20
_REPLY_CHARS_MAX = 80
_PAYMENTS = ("paid", "part_paid", "rest_paid")


def messages(provider: Provider, sent: Sequence[Sent], *, wide: bool) -> None:
    """Print every message, or of many how often each result came, and how long answers took."""
    if len(sent) <= SHOWN_MAX:
        rows = [_row(provider, each) for each in sent]
        heads = ("MESSAGE", "ORDER", "AMOUNT", "TRANSACTION", "STATUS", "RESULT", "REPLY")
        tables.table(heads, rows, wide=wide, spare=("REPLY",))
    else:
        counted = Counter((_name(each.step), each.status, _result(each)) for each in sent)
        counts = [(*key[:1], str(key[1]), key[2], f"{n:,}") for key, n in sorted(counted.items())]
        tables.table(("MESSAGE", "STATUS", "RESULT", "MESSAGES"), counts, wide=wide)
    p50_ms, p99_ms = _took_ms(sent)
    click.echo(f"answered in {p50_ms:.1f} ms (median), {p99_ms:.1f} ms (p99)")


def as_json(provider: Provider, sent: Sequence[Sent], checked: "Checked | None") -> str:
    """Return the same as one JSON object: counts, the first messages, and the order."""
    counted = Counter((each.step.kind, each.status, each.is_right) for each in sent)
    p50_ms, p99_ms = _took_ms(sent)
    return json.dumps(
        {
            "messages": [
                {"kind": kind, "status": status, "is_right": is_right, "messages": n}
                for (kind, status, is_right), n in sorted(counted.items())
            ],
            "sent": [_plain(provider, each) for each in sent[:SHOWN_MAX]],
            "order": None if checked is None else checked.plain(),
            "p50_ms": p50_ms,
            "p99_ms": p99_ms,
        }
    )


class Checked:
    """What the messages did to one order, by what the gateway tells of it."""

    def __init__(
        self, order: Order, *, status_before: str | None, new_events: Sequence[Event]
    ) -> None:
        self.order = order
        self._status_before = status_before
        self._new_events = new_events

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        order = self.order
        return {
            "id": order.id,
            "channel": order.channel,
            "order_no": order.order_no,
            "status_before": self._status_before,
            "status": order.status,
            "hold": order.hold,
            "currency": order.currency,
            "payable": order.amounts.payable,
            "paid": order.amounts.paid,
            "refunded": order.amounts.refunded,
            "events": [
                {"action": each.action, "outcome": each.outcome, "reason": each.reason}
                for each in self._new_events
            ],
        }

    def show(self, *, wide: bool) -> None:
        """Print the order and the events that are new."""
        order, money = self.order, self.order.amounts
        change = order.status
        if self._status_before not in (None, order.status):
            change = f"{self._status_before} -> {order.status}"
        held = f", held: {order.hold}" if order.hold else ""
        refunded = f", {money.refunded} refunded" if float(money.refunded) else ""
        click.echo(
            f"\norder {order.order_no} ({order.channel}): {change}, {money.paid} of "
            f"{money.payable} {order.currency} paid{refunded}{held}"
        )
        rows = [
            (
                each.action,
                each.outcome,
                f"{each.from_status or ''} -> {each.to_status or ''}"
                if each.from_status != each.to_status
                else each.to_status or "",
                ": ".join(filter(None, (each.reason, each.detail))),
            )
            for each in self._new_events
        ]
        tables.table(("EVENT", "OUTCOME", "ORDER", "WHY"), rows, wide=wide)

    @property
    def is_untouched(self) -> bool:
        """Whether money is due and nothing has happened to the order since."""
        money = self.order.amounts
        return not self._new_events and Decimal(money.paid) < Decimal(money.payable)

    def judge(self, sent: Sequence[Sent]) -> None:
        """Raise ``Failure`` when something was acknowledged and not booked."""
        if self.is_untouched and was_paid(sent):
            raise Failure(
                f"the payment was acknowledged and has not reached the order {self.order.order_no} "
                f"of the channel {self.order.channel}. An account pays orders of its channels "
                "only, and a test account test orders only: is its section of tidegate.toml right? "
                "While PostgreSQL is unavailable, payments wait in the journal"
            )
        # A refund that fails is booked, and parked for a person besides.
        told = {each.step.kind for each in sent}
        parked = [
            each
            for each in self._new_events
            if each.outcome == "parked" and each.reason not in told
        ]
        if parked:
            why = ": ".join(filter(None, (parked[0].reason, parked[0].detail)))
            raise Failure(
                f"{len(parked)} of the messages were acknowledged and parked, not booked: {why}"
            )


def was_paid(sent: Sequence[Sent]) -> bool:
    """Return whether a genuine payment was acknowledged."""
    return any(
        each.step.kind in _PAYMENTS and each.step.is_genuine and each.is_right for each in sent
    )


def _row(provider: Provider, sent: Sent) -> tuple[str, ...]:
    plain = _plain(provider, sent)
    amount = f"{plain['amount']} {plain['currency']}" if plain["amount"] else ""
    reply = " ".join(sent.reply.split())
    if len(reply) > _REPLY_CHARS_MAX:
        reply = f"{reply[:_REPLY_CHARS_MAX]}…"
    return (
        _name(sent.step), sent.trade.order_no, amount, plain["transaction"] or "",
        str(sent.status or "none"), _result(sent), reply,
    )  # fmt: skip


def _plain(provider: Provider, sent: Sent) -> dict[str, Any]:
    amount = script.amount_of(sent.step.kind, sent.trade)
    # Parts are payments of their own, under numbers of their own.
    is_of_another = sent.step.kind in ("placed", "ping", "part_paid", "rest_paid")
    transaction = "" if is_of_another else provider.transaction_no(sent.trade)
    return {
        "kind": sent.step.kind,
        "attempt": sent.step.attempt + 1,
        "forged": sent.step.forged,
        "order_no": sent.trade.order_no,
        "amount": None if amount is None else _as_written(amount, sent.trade.amount),
        "currency": sent.trade.currency,
        "transaction": transaction,
        "status": sent.status,
        "is_right": sent.is_right,
        "reply": sent.reply,
    }


def _as_written(amount: Decimal, like: Decimal) -> str:
    """Return an amount with the decimals of another."""
    exponent = like.as_tuple().exponent
    assert isinstance(exponent, int), "it is finite"
    return f"{amount:.{max(0, -exponent)}f}"


def _name(step: Step) -> str:
    again = " again" if step.attempt else ""
    return f"{step.kind}{again}{f', forged: {step.forged}' if step.forged else ''}"


def _result(sent: Sent) -> str:
    if not sent.status:
        return "no response"
    if sent.step.is_genuine:
        return "acknowledged" if sent.is_right else "NOT acknowledged"
    if sent.is_right:
        return "rejected"
    return "ACCEPTED" if sent.status < 300 else "not rejected"


def _took_ms(sent: Sequence[Sent]) -> tuple[float, float]:
    took_s = sorted(each.took_s for each in sent)
    return (
        took_s[int(0.5 * (len(took_s) - 1))] * 1000,
        took_s[int(0.99 * (len(took_s) - 1))] * 1000,
    )
