"""Screening: what the rules of a shop make of an order when it is stored. Pure.

What depends on other orders, purchases within a window, is counted in the ledger under its locks:
here is only what is to be counted, and what exceeding it means.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from gateway.domain.orders import Hold
from gateway.domain.placing import Placement

#: What a rule did to an order. ``noted``: it is shown to a person and goes on meanwhile.
Outcome = Literal["held", "noted", "released", "routed"]
Values = Mapping[str, Any]
#: The keyed index of a phone, by which a stored count never shows the number.
PhoneIndex = Callable[[str], bytes]


class Finding(Struct, frozen=True, omit_defaults=True):
    """What one rule did to an order, and by which values of it; private ones are masked.

    ``released_by``: the rule that ended this hold before it began.
    """

    rule: str
    kind: str
    outcome: Outcome
    values: Values = {}
    released_by: str = ""


class PurchaseLimit(Struct, frozen=True):
    """A count that an order adds to, settled in the ledger: 16 bytes ``key``, and its bounds.

    Where ``orders_max`` or ``pieces_max`` is exceeded within ``window_s`` seconds, the order gets
    ``hold`` (None: the hold is released) and ``finding``, which is stored as ``text``.
    """

    key: bytes
    pieces: int
    orders_max: int | None
    pieces_max: int | None
    window_s: int
    hold: Hold | None
    finding: Finding
    text: str


class Screened(Struct, frozen=True):
    """What the rules made of an order. ``limits`` are still to be counted."""

    hold: Hold | None = None
    findings: tuple[Finding, ...] = ()
    warehouse: str = ""
    carrier: str = ""
    limits: tuple[PurchaseLimit, ...] = ()


#: Of an order that no rule says anything of.
NOTHING = Screened()


class HoldingRule(Protocol):
    """A rule that finds orders to hold."""

    def found(self, placement: Placement) -> Values | None:
        """Return the values that it holds an order by; None: it does not."""
        ...


class Condition(Protocol):
    """What a rule asks of an order."""

    def fits(self, placement: Placement) -> bool:
        """Return whether the order is one of those."""
        ...

    def values(self, placement: Placement) -> Values:
        """Return the values that it asks for, private ones masked."""
        ...


class CountingRule(Protocol):
    """A rule that limits purchases."""

    orders_max: int | None
    pieces_max: int | None
    window_s: int
    per: Sequence[Literal["buyer", "phone"]]

    def pieces(self, placement: Placement) -> int:
        """Return how many pieces of an order count; 0: the order does not."""
        ...


class Held(NamedTuple):
    """A rule that holds: what it looks for, or what it counts."""

    name: str
    kind: str
    channels: Collection[str]
    hold: Hold
    rule: HoldingRule | None = None
    counts: CountingRule | None = None


class Releasing(NamedTuple):
    """A rule that releases what others would hold."""

    name: str
    channels: Collection[str]
    releases: frozenset[str]
    condition: Condition


class Routing(NamedTuple):
    """A rule that says from where and by whom an order is sent."""

    name: str
    channels: Collection[str]
    warehouse: str
    carrier: str
    condition: Condition


class Rules(Struct, frozen=True):
    """All rules, each list in the order in which they are tried."""

    holding: tuple[Held, ...] = ()
    releasing: tuple[Releasing, ...] = ()
    routing: tuple[Routing, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.holding or self.releasing or self.routing)

    @property
    def names(self) -> list[str]:
        """The names of all rules."""
        rules: tuple[Any, ...] = (*self.holding, *self.releasing, *self.routing)
        return [each.name for each in rules]

    def _of(self, channel: str) -> "Rules":
        def these(rules: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(each for each in rules if not each.channels or channel in each.channels)

        return Rules(these(self.holding), these(self.releasing), these(self.routing))


class Screening:
    """Tries orders against rules. Each rule is asked once an order at most.

    Without rules nobody should ask: ``rules`` is false then.
    """

    def __init__(self, rules: Rules, *, files: Mapping[str, bytes] | None = None) -> None:
        """``files``: of each rule that was made of files, the digest of what they held."""
        self.rules = rules
        self.files = files or {}
        self._by_channel: dict[str, Rules] = {}
        self._counts = {
            held.name: tuple(_Count(held, per) for per in held.counts.per)
            for held in rules.holding
            if held.counts is not None
        }

    def screen(self, placement: Placement, phone_index: PhoneIndex) -> Screened:
        """Return what the rules make of an order."""
        rules = self._rules_of(placement)
        hold: Hold | None = None
        findings: list[Finding] = []
        limits: list[PurchaseLimit] = []
        for held in rules.holding:
            if held.counts is not None:
                _limit(held, self._counts[held.name], placement, rules, phone_index, limits)
            elif held.rule is not None and (values := held.rule.found(placement)) is not None:
                released_by = _released_by(rules.releasing, held.name, placement)
                findings.append(_finding(held, values, released_by))
                if not released_by and hold != "screened":
                    hold = held.hold
        warehouse, carrier = _route(rules.routing, placement, findings)
        if not (findings or limits):
            return NOTHING
        return Screened(hold, tuple(findings), warehouse, carrier, tuple(limits))

    def lookalike_released(self, placement: Placement, resembles: str) -> Finding | None:
        """Return the finding that a look-alike need not be held; None: it is.

        ``resembles``: the number of the order that it looks like.
        """
        rules = self._rules_of(placement)
        if released_by := _released_by(rules.releasing, "lookalike", placement):
            values = {"resembles": resembles}
            return Finding("lookalike", "lookalike", "released", values, released_by)
        return None

    def _rules_of(self, placement: Placement) -> Rules:
        channel = placement.submission.channel
        rules = self._by_channel.get(channel)
        if rules is None:
            # Channels are a closed list.
            rules = self._by_channel[channel] = self.rules._of(channel)
        return rules


#: Screening where no rules are configured.
NO_RULES = Screening(Rules())


def _finding(held: Held, values: Values, released_by: str) -> Finding:
    outcome: Outcome = "noted" if held.hold == "screened_note" else "held"
    return Finding(
        held.name, held.kind, "released" if released_by else outcome, values, released_by
    )


def _released_by(rules: Sequence[Releasing], name: str, placement: Placement) -> str:
    for each in rules:
        if name in each.releases and each.condition.fits(placement):
            return each.name
    return ""


def _route(
    rules: Sequence[Routing], placement: Placement, findings: list[Finding]
) -> tuple[str, str]:
    """Return warehouse and carrier, each of the first rule that fits and says it."""
    warehouse = carrier = ""
    for each in rules:
        decides_warehouse = not warehouse and each.warehouse != ""
        decides_carrier = not carrier and each.carrier != ""
        if not (decides_warehouse or decides_carrier) or not each.condition.fits(placement):
            continue
        values = dict(each.condition.values(placement))
        if decides_warehouse:
            values["warehouse"] = warehouse = each.warehouse
        if decides_carrier:
            values["carrier"] = carrier = each.carrier
        findings.append(Finding(each.name, "route", "routed", values))
        if warehouse and carrier:
            break
    return warehouse, carrier


class _Count:
    """What is the same of a limit for every order: its finding, and the beginning of its keys."""

    __slots__ = ("finding", "keys", "per", "text")

    def __init__(self, held: Held, per: str) -> None:
        counts = held.counts
        assert counts is not None, "only made for rules that count"
        bounds = {"orders_max": counts.orders_max, "pieces_max": counts.pieces_max}
        known = {name: bound for name, bound in bounds.items() if bound is not None}
        self.per = per
        self.finding = _finding(held, {"per": per, "window_s": counts.window_s, **known}, "")
        self.text = encode_finding(self.finding)
        self.keys = {
            is_test: blake2b(f"{held.name}|{per}|{is_test}|".encode(), digest_size=16)
            for is_test in (False, True)
        }

    def key(self, who: bytes, *, is_test: bool) -> bytes:
        digest = self.keys[is_test].copy()
        digest.update(who)
        return digest.digest()


def _limit(
    held: Held,
    each_count: Sequence[_Count],
    placement: Placement,
    rules: Rules,
    phone_index: PhoneIndex,
    limits: list[PurchaseLimit],
) -> None:
    """Add what a rule counts of an order to ``limits``."""
    counts = held.counts
    assert counts is not None, "only asked for rules that count"
    pieces = counts.pieces(placement)
    if not pieces:
        return
    released_by = _released_by(rules.releasing, held.name, placement)
    for each in each_count:
        who = _who(each.per, placement, phone_index)
        if who is None:
            continue
        finding, text = each.finding, each.text
        if released_by:
            finding = _finding(held, finding.values, released_by)
            text = encode_finding(finding)
        limits.append(
            PurchaseLimit(
                each.key(who, is_test=placement.submission.is_test),
                pieces,
                counts.orders_max,
                counts.pieces_max,
                counts.window_s,
                None if released_by else held.hold,
                finding,
                text,
            )
        )


def _who(per: str, placement: Placement, phone_index: PhoneIndex) -> bytes | None:
    order = placement.submission
    if per == "buyer":
        # A buyer's number is that of its channel.
        return f"{len(order.channel)}:{order.channel}{order.buyer_id}".encode()
    return phone_index(placement.phone) if placement.phone else None


_encode = msgspec.json.Encoder(decimal_format="string").encode


def encode_finding(finding: Finding) -> str:
    """Return a finding as the ledger stores it."""
    return _encode(finding).decode()


def said(screened: Screened, *more: Finding) -> str | None:
    """Return what the history says of it, beside what the ledger counts; None: nothing."""
    words = [
        f"{each.rule} released by {each.released_by}"
        if each.released_by
        else f"screened by {each.rule}"
        for each in (*more, *screened.findings)
        if each.outcome != "routed"
    ]
    return "; ".join(words) or None


def encode(screened: Screened, *more: Finding) -> str | None:
    """Return what is stored of an order beside what the ledger counts; None: nothing."""
    findings = [*screened.findings, *more]
    if not findings:
        return None
    stored: dict[str, Any] = {"findings": findings}
    if screened.warehouse:
        stored["warehouse"] = screened.warehouse
    if screened.carrier:
        stored["carrier"] = screened.carrier
    return _encode(stored).decode()
