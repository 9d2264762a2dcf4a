"""The screening rules as they are configured, made ready: expressions and files are read."""

import re
from collections.abc import Collection, Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Literal

from gateway.domain import expressions, money, screening_facts
from gateway.domain.orders import Hold
from gateway.domain.placing import Placement
from gateway.domain.screening import NO_RULES, Condition, Held, Releasing, Routing, Rules, Screening
from gateway.domain.screening_rules import Address, Asked, Below, Blocked, Destination, Limit
from gateway.runtime import file_faults, settings_rules
from gateway.runtime.settings import Settings, SettingsError
from gateway.runtime.settings_rules import Rule

#: Lines of one file, and its bytes: what a process has in memory of it is about ten times as much.
FILE_LINES_MAX = 100_000
FILE_BYTES_MAX = 8 * 1024 * 1024
#: Numbers of buyers may have the sign in them.
_REMARK = re.compile(r"(?:^|\s)#")


def load(settings: Settings) -> Screening:
    """Make the rules of the settings ready.

    Raises ``SettingsError`` with the rule and what is wrong with it. Reads files: not for the loop.
    """
    if not settings.rules:
        return NO_RULES
    holding: list[Held] = []
    releasing: list[Releasing] = []
    routing: list[Routing] = []
    files: dict[str, bytes] = {}
    for n, rule in enumerate(settings.rules, 1):
        try:
            made = _made(rule, files)
        except ValueError as exc:
            raise SettingsError(f"rules: {rule.name} (rule {n}): {exc}") from exc
        if isinstance(made, Held):
            holding.append(made)
        elif isinstance(made, Releasing):
            releasing.append(made)
        else:
            routing.append(made)
    rules = Rules(tuple(holding), tuple(releasing), tuple(routing))
    return Screening(rules, files=files)


def _made(rule: Rule, files: dict[str, bytes]) -> Held | Releasing | Routing:
    hold: Hold = "screened" if rule.stops_hand_off else "screened_note"
    channels = frozenset(rule.channels)

    def held(by: Blocked | Address | Asked) -> Held:
        return Held(rule.name, rule.kind, channels, hold, rule=by)

    def routing(condition: Condition) -> Routing:
        return Routing(rule.name, channels, rule.warehouse, rule.carrier, condition)

    def releasing(condition: Condition) -> Releasing:
        return Releasing(rule.name, channels, frozenset(rule.releases), condition)

    match rule.kind:
        case "blocked":
            return held(_blocked(rule, files))
        case "limit":
            return Held(rule.name, rule.kind, channels, hold, counts=_limit(rule))
        case "address":
            return held(
                Address(
                    countries=rule.countries,
                    street_chars_min=rule.street_chars_min,
                    postcode=rule.postcode,
                    forms=rule.postcodes,
                )
            )
        case "release":
            return releasing(Below(dict(map(_minor, rule.below))))
        case "route":
            return routing(
                Destination(
                    regions=[tuple(region.split("/")) for region in rule.regions],
                    countries=rule.countries,
                    skus=rule.skus,
                    weight_g=(rule.weight_g_min, rule.weight_g_max),
                    attributes=rule.attributes,
                )
            )
        case "expression":
            asked = Asked(_expression(rule.when))
            if rule.then == "hold":
                return held(asked)
            return routing(asked) if rule.then == "route" else releasing(asked)


def _expression(text: str) -> expressions.Expression[Placement]:
    try:
        return expressions.read(text, screening_facts.FACTS)
    except expressions.WrongExpression as exc:
        raise ValueError(f"when: {exc}") from exc


def _limit(rule: Rule) -> Limit:
    per: dict[str, tuple[Literal["buyer", "phone"], ...]] = {
        "buyer": ("buyer",),
        "phone": ("phone",),
        "buyer_or_phone": ("buyer", "phone"),
    }
    return Limit(
        per=per[rule.per],
        window_s=rule.window_s,
        orders_max=rule.orders_max,
        pieces_max=rule.pieces_max,
        skus=rule.skus,
    )


def _minor(amount: str) -> tuple[str, int]:
    currency, _, text = amount.partition(" ")
    decimals = money.DECIMALS.get(currency)
    if decimals is None:
        raise ValueError(f"below: {currency} is not an ISO 4217 currency in use")
    if reason := money.fault(Decimal(text), decimals):
        raise ValueError(f"below: {amount} {reason}")
    return currency, screening_facts.minor(Decimal(text), currency)


def _blocked(rule: Rule, files: dict[str, bytes]) -> Blocked:
    numbers, buyers = set(rule.phones), set(rule.buyers)
    digest = sha256()
    for path, into, is_fine, must in (
        (rule.phones_file, numbers, settings_rules.is_phone, "is not written +8613800138000"),
        (rule.buyers_file, buyers, lambda text: len(text) <= 128, "has over 128 characters"),
    ):
        if not path:
            continue
        text = _read(path)
        digest.update(text)
        for n, line in _lines(path, text):
            if not is_fine(line):
                # What the line holds is private.
                raise ValueError(f"line {n} of {path} {must}")
            into.add(line)
    if rule.phones_file or rule.buyers_file:
        files[rule.name] = digest.digest()
    return Blocked(numbers=numbers, buyers=buyers)


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ValueError(f"{path} cannot be read: {file_faults.reason(exc)}") from exc
    if len(text) > FILE_BYTES_MAX:
        raise ValueError(f"{path} has more than {FILE_BYTES_MAX} bytes")
    return text


def _lines(path: str, text: bytes) -> Iterator[tuple[int, str]]:
    try:
        lines: Collection[str] = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise ValueError(f"{path} cannot be read: {file_faults.reason(exc)}") from exc
    if len(lines) > FILE_LINES_MAX:
        raise ValueError(f"{path} has more than {FILE_LINES_MAX} lines")
    for n, line in enumerate(lines, 1):
        if entry := _REMARK.split(line, maxsplit=1)[0].strip():
            yield n, entry
