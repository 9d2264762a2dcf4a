"""A trial of screening rules: what they would have done to orders, without a ledger. Pure."""

from collections import Counter
from datetime import datetime, timedelta

from gateway.domain.placing import Placement
from gateway.domain.screening import Finding, PhoneIndex, PurchaseLimit, Screened, Screening


class Trial:
    """Tries orders one after the other, the earliest first, and counts as the ledger would.

    It counts only what it was given: what was bought before is not known.
    """

    def __init__(self, screening: Screening, *, phone_index: PhoneIndex) -> None:
        self._screening = screening
        self._phone_index = phone_index
        self._purchases: dict[bytes, list[tuple[datetime, int]]] = {}
        self.orders = 0
        #: Orders by the rule that found something of them, and by what it did.
        self.found: Counter[tuple[str, str]] = Counter()
        #: Orders by what became of them: ``screened``, ``screened_note`` or ``passed``.
        self.became: Counter[str] = Counter()
        self.warehouses: Counter[str] = Counter()
        self.carriers: Counter[str] = Counter()

    def screen(self, placement: Placement) -> Screened:
        """Return what the rules make of an order, before anything is counted."""
        return self._screening.screen(placement, self._phone_index)

    def count(self, screened: Screened, at: datetime) -> tuple[list[Finding], str]:
        """Count an order; return all findings, and ``screened``, ``screened_note`` or ``passed``.

        ``at``: when it was placed; no earlier than those before it.
        """
        findings, holds = list(screened.findings), {screened.hold}
        for limit in screened.limits:
            if over := self._over(limit, at):
                findings.append(over)
                holds.add(limit.hold)
        became = next((hold for hold in ("screened", "screened_note") if hold in holds), "passed")
        self.orders += 1
        self.became[became] += 1
        # An order counts once for a rule, whichever of its counts is over.
        self.found.update({(each.rule, each.outcome) for each in findings})
        self.warehouses.update([screened.warehouse] * bool(screened.warehouse))
        self.carriers.update([screened.carrier] * bool(screened.carrier))
        return findings, became

    def _over(self, limit: PurchaseLimit, at: datetime) -> Finding | None:
        since = at - timedelta(seconds=limit.window_s)
        bought = [each for each in self._purchases.get(limit.key, ()) if each[0] > since]
        bought.append((at, limit.pieces))
        self._purchases[limit.key] = bought
        pieces = sum(pieces for _, pieces in bought)
        is_over = _exceeds(len(bought), limit.orders_max) or _exceeds(pieces, limit.pieces_max)
        return limit.finding if is_over else None


def _exceeds(number: int, bound: int | None) -> bool:
    return bound is not None and number > bound
