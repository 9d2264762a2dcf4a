"""One run: messages about one order or many, to one account, and what became of the order."""

import asyncio
import time
from collections.abc import Sequence

import click
from msgspec import Struct

from ops.failures import Failure, Wrong
from ops.simulation import report
from ops.simulation.orders import Event, NoAnswer, Order, Orders
from ops.simulation.report import Checked
from ops.simulators import sending
from ops.simulators.contract import Simulator, Trade
from ops.simulators.registry import Provider
from ops.simulators.sending import Sent, Step

_SHOWS_S = 2.0
_POLL_S = 0.2


class Target(Struct, frozen=True):
    """The account of one provider at one gateway. ``section`` configures it there."""

    name: str
    provider: Provider
    simulator: Simulator
    callbacks_url: str
    section: str


class Watch:
    """One order at the gateway, before the messages and after them.

    Without ``orders``, which needs an API key, nothing is known of it; ``why_not`` says so then.
    """

    def __init__(self, orders: Orders | None, *, order_no: str, channel: str) -> None:
        self._orders = orders
        self._order_no = order_no
        self._channel = channel
        self._known_events: set[str] = set()
        self.why_not = (
            ""
            if orders is not None
            else "set TIDEGATE_API_KEY to a key that may read orders (role query)"
        )
        #: A command that shows the order; empty without a key.
        self.curl = "" if orders is None else orders.curl(order_no, channel)
        self.before: Order | None = None
        if (found := self._look()) is not None:
            self.before, events = found
            self._known_events = {each.id for each in events}

    def after(self, sent: Sequence[Sent]) -> Checked | None:
        """Return what the messages did; None where that cannot be found out.

        A payment that does not show yet is looked for again: the answer may be a replica's.
        """
        checked = self._checked()
        deadline_s = time.monotonic() + _SHOWS_S
        while checked is not None and checked.is_untouched and report.was_paid(sent):
            if time.monotonic() > deadline_s:
                break
            time.sleep(_POLL_S)
            checked = self._checked()
        return checked

    def _checked(self) -> Checked | None:
        found = self._look()
        if found is None:
            return None
        order, events = found
        return Checked(
            order,
            status_before=None if self.before is None else self.before.status,
            new_events=[each for each in events if each.id not in self._known_events],
        )

    def _look(self) -> tuple[Order, list[Event]] | None:
        if self._orders is None:
            return None
        try:
            order = self._orders.find(self._order_no, self._channel)
            if order is not None:
                return order, self._orders.history(order)
        except NoAnswer as exc:
            self.why_not = str(exc)
        else:
            self.why_not = (
                f"there is no order {self._order_no} in the channel {self._channel}; what was paid "
                "for it waits until it is placed"
            )
        return None


def send(
    target: Target, trades: Sequence[Trade], steps: Sequence[Step], *, rate: float | None
) -> list[Sent]:
    """Send everything and return the results. Raises ``Wrong`` before anything is sent."""
    try:
        # Kinds that a provider cannot express are reported before anything is sent.
        for step in steps:
            sending.posted(target.simulator, step, trades[0])
    except (ValueError, LookupError) as exc:
        raise Wrong(
            f"{target.name} cannot send that (--amount, --currency, --kind): {exc}"
        ) from None
    sent: list[Sent] = []

    def note(result: Sent) -> None:
        sent.append(result)
        if len(sent) % 500 == 0:
            click.echo(f"{len(sent):,} of {len(trades) * len(steps):,} sent", err=True)

    asyncio.run(
        sending.send(
            trades,
            steps,
            url=target.callbacks_url,
            simulator=target.simulator,
            rate=rate,
            on_sent=note,
        )
    )
    return sent


def judge(sent: Sequence[Sent], target: Target) -> None:
    """Raise ``Failure`` with the most common cause if a message was not answered as expected."""
    wrong = [each for each in sent if not each.is_right]
    if not wrong:
        return
    statuses = {each.status for each in wrong}
    if statuses == {0}:
        raise Failure(
            f"no response from {target.callbacks_url}: is the gateway running, and --url correct?"
        )
    if 404 in statuses:
        raise Failure(
            "the gateway has no such account; put this into tidegate.toml, and send the gateway "
            f"SIGHUP or restart it:\n\n{target.section}"
        )
    if any(each.status in (400, 401, 403) and each.step.is_genuine for each in wrong):
        raise Failure(
            "genuine messages were rejected: the gateway has other keys or options than --keys, or "
            "its clock is wrong; its log and `tidegate callbacks refused` name the reason"
        )
    if any(not each.step.is_genuine and 0 < each.status < 300 for each in wrong):
        raise Failure("forged messages were accepted: the gateway does not verify them")
    raise Failure(f"{len(wrong)} of {len(sent)} messages were not answered as expected")
