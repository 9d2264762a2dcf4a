"""The settings of screening rules: what holds, releases and routes orders, and what is wrong."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

RULES_MAX = 100
#: Numbers and buyers in the settings themselves; a file may have more.
LISTED_MAX = 1000

RuleKind = Literal["blocked", "limit", "address", "release", "route", "expression"]
#: What an expression does where it is true; the other kinds have one meaning each.
Then = Literal["hold", "release", "route"]

_Texts = Annotated[list[str], Meta(max_length=LISTED_MAX)]
_Count = Annotated[int, Meta(ge=1, le=1000)]
_Grams = Annotated[int, Meta(ge=0, le=1_000_000_000)]

#: A telephone number in E.164, or the beginning of some: `+8613800138000`, `+86170*`.
_PHONE = re.compile(r"\+[0-9]{1,15}\*?", re.ASCII)
_SKU = re.compile(r"[^*]{1,64}\*?|[^*]{0,64}\*")
_AMOUNT = re.compile(r"[A-Z]{3} [0-9]{1,12}(\.[0-9]{1,4})?", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_POSTCODE = re.compile(r"[A-Z09 -]{1,16}", re.ASCII)


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A screening rule. Every order is tried against all of them, in the order of the file."""

    #: Stands in the explanation of each order. Purchases are counted by it: under another name a
    #: limit counts anew.
    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,48}$(?!\n)")]
    #: `blocked`: telephone numbers and buyers; `limit`: orders or pieces within a window;
    #: `address`: whether the address is complete; `release`: small orders that need no person;
    #: `route`: warehouse and carrier; `expression`: what `when` says.
    kind: RuleKind
    #: The channels whose orders it is for; empty: all.
    channels: _Texts = []
    #: Of what holds: whether the order is kept from the warehouse until a person releases it
    #: (`screened`), or only shown to one (`screened_note`).
    stops_hand_off: bool = True
    #: Of `blocked`: numbers in E.164, `+8613800138000`; with `*` at the end, all that begin so.
    phones: _Texts = []
    #: Of `blocked`: the shop's own numbers of buyers.
    buyers: _Texts = []
    #: Of `blocked`: a file with a number a line, in UTF-8; read again on SIGHUP. After `#` a line
    #: may say why.
    phones_file: str = ""
    #: Of `blocked`: a file with a buyer a line.
    buyers_file: str = ""
    #: Of `limit`: whose orders are counted together; `buyer_or_phone`: both, each by itself.
    per: Literal["buyer", "phone", "buyer_or_phone"] = "buyer"
    #: Of `limit`: seconds that count together, back from each order.
    window_s: Annotated[int, Meta(ge=1, le=366 * 86400)] = 86400
    #: Of `limit`: orders that may be placed within the window; the next one is held.
    orders_max: _Count | None = None
    #: Of `limit`: pieces that may be bought within the window, over all its orders.
    pieces_max: _Count | None = None
    #: Of `limit` and `route`: the articles that it is for; with `*` at the end, all that begin so.
    #: Empty: all. An order needs one such line.
    skus: _Texts = []
    #: Of `address` and `route`: the countries that it is for, as `CN`; empty: all.
    countries: _Texts = []
    #: Of `address`: characters that a street has at least.
    street_chars_min: Annotated[int, Meta(ge=0, le=512)] = 5
    #: Of `address`: the postcode is not looked at, has the form of its country where it is given,
    #: or must be there.
    postcode: Literal["off", "if_given", "required"] = "if_given"
    #: Of `address`: the forms of a country's postcodes, instead of the known ones: `9` is a digit,
    #: `A` a letter, all else stands for itself: `{ CN = ["999999"] }`.
    postcodes: dict[str, list[str]] = {}
    #: Of `release`: per currency, the amount below which an order is released: `CNY 50.00`.
    below: _Texts = []
    #: Of `release` (and an expression that releases): which holds end: `lookalike`, and the names
    #: of rules.
    releases: _Texts = []
    #: Of `route` (and an expression that routes): the warehouse that sends, and the carrier. The
    #: first rule that says one of them decides it.
    warehouse: Annotated[str, Meta(max_length=64)] = ""
    carrier: Annotated[str, Meta(max_length=64)] = ""
    #: Of `route`: the regions that it is for: `CN`, `CN/广东省` or `CN/广东省/深圳市`; empty: all.
    regions: _Texts = []
    #: Of `route`: grams that the order weighs at least, and at most. An order whose weight is not
    #: known fits neither.
    weight_g_min: _Grams | None = None
    weight_g_max: _Grams | None = None
    #: Of `route`: what the order's `attributes` must say, each one of the texts:
    #: `{ temperature = ["frozen", "cool"] }`.
    attributes: dict[str, list[str]] = {}
    #: Of `expression`: what must be true, in the language of the guide: `payable_minor > 500000`.
    when: str = ""
    #: Of `expression`: what follows.
    then: Then = "hold"

    @property
    def holds(self) -> bool:
        """Whether it holds orders."""
        return self.kind in ("blocked", "limit", "address") or (
            self.kind == "expression" and self.then == "hold"
        )


_OF_KIND: Mapping[RuleKind, frozenset[str]] = {
    "blocked": frozenset({"phones", "buyers", "phones_file", "buyers_file", "stops_hand_off"}),
    "limit": frozenset({"per", "window_s", "orders_max", "pieces_max", "skus", "stops_hand_off"}),
    "address": frozenset(
        {"countries", "street_chars_min", "postcode", "postcodes", "stops_hand_off"}
    ),
    "release": frozenset({"below", "releases"}),
    "route": frozenset(
        {"warehouse", "carrier", "regions", "countries", "skus", "weight_g_min", "weight_g_max",
         "attributes"}
    ),
    "expression": frozenset({"when", "then", "stops_hand_off", "releases", "warehouse", "carrier"}),
}  # fmt: skip
_COMMON = frozenset({"name", "kind", "channels"})
_DEFAULTS = {
    field.name: field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    for field in msgspec.structs.fields(Rule)
    if not field.required
}


def faults(rules: Sequence[Rule], channels: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the rules, each a sentence that names rule and key.

    Not here: what a file holds, and whether an expression is one.
    """
    if len(rules) > RULES_MAX:
        yield f"rules: there are {len(rules)}, and {RULES_MAX} at most"
    seen: set[str] = set()
    holding = {rule.name for rule in rules if rule.holds}
    for n, rule in enumerate(rules, 1):
        label = f"rules: {rule.name} (rule {n})"
        if rule.name in seen:
            yield f"{label} is listed twice; give each rule its own name"
        if rule.name in ("lookalike", "suspected_brushing"):
            yield f"{label}: this is the name of a hold; give the rule another one"
        seen.add(rule.name)
        if unknown := set(rule.channels) - set(channels):
            yield f"{label} names unknown channels {', '.join(sorted(unknown))}"
        for key, default in _DEFAULTS.items():
            if key not in _OF_KIND[rule.kind] | _COMMON and getattr(rule, key) != default:
                yield f"{label}: {key} is not for the kind {rule.kind}; leave it out"
        yield from (f"{label}: {fault}" for fault in _kind_faults(rule, holding))


def _kind_faults(rule: Rule, holding: Collection[str]) -> Iterator[str]:
    match rule.kind:
        case "blocked":
            if not (rule.phones or rule.buyers or rule.phones_file or rule.buyers_file):
                yield "phones, buyers or a file of them is missing"
            # A number is private: it is named by its place.
            wrong = (n for n, phone in enumerate(rule.phones, 1) if not is_phone(phone))
            yield from (f"phone {n} must be written +8613800138000, or +86138*" for n in wrong)
        case "limit":
            if rule.orders_max is None and rule.pieces_max is None:
                yield "orders_max or pieces_max is missing"
        case "address":
            yield from _address_faults(rule)
        case "route":
            yield from _route_faults(rule)
        case "release":
            yield from _below_faults(rule)
            yield from _release_faults(rule, holding)
        case "expression":
            yield from _expression_faults(rule, holding)
    if not all(map(_SKU.fullmatch, rule.skus)):
        yield "skus are numbers of articles; * stands at the end of one alone"
    if not all(map(_COUNTRY.fullmatch, rule.countries)):
        yield "a country is written CN"


def _address_faults(rule: Rule) -> Iterator[str]:
    for country, forms in rule.postcodes.items():
        if not _COUNTRY.fullmatch(country) or not forms or not all(map(_POSTCODE.fullmatch, forms)):
            yield f'postcodes of {country[:8]} must be written {{ CN = ["999999"] }}'


def _route_faults(rule: Rule) -> Iterator[str]:
    if not (rule.warehouse or rule.carrier):
        yield "warehouse or carrier is missing"
    if not all(map(_is_region, rule.regions)):
        yield "a region is written CN, CN/province or CN/province/city, without blanks around parts"
    least, most = rule.weight_g_min, rule.weight_g_max
    if least is not None and most is not None and least > most:
        yield "weight_g_min must not be above weight_g_max"
    if not all(rule.attributes.values()):
        yield "each of attributes needs a list of texts"


def _below_faults(rule: Rule) -> Iterator[str]:
    if not rule.below or not all(map(_AMOUNT.fullmatch, rule.below)):
        yield 'below must have an amount for each currency, as in ["CNY 50.00"]'
    elif len({amount[:3] for amount in rule.below}) < len(rule.below):
        yield "below has two amounts of one currency"


def _release_faults(rule: Rule, holding: Collection[str]) -> Iterator[str]:
    if not rule.releases:
        yield 'releases is missing: name what it may end, as in ["lookalike"]'
    for name in rule.releases:
        if name not in holding and name != "lookalike":
            yield f"releases names {name}, and there is no such rule that holds orders"


def _expression_faults(rule: Rule, holding: Collection[str]) -> Iterator[str]:
    if not rule.when.strip():
        yield "when is missing"
    if rule.then == "release":
        yield from _release_faults(rule, holding)
    elif rule.releases:
        yield 'releases is for then = "release"; leave it out'
    if rule.then == "route":
        yield from _route_faults(rule)
    elif rule.warehouse or rule.carrier:
        yield 'warehouse and carrier are for then = "route"; leave them out'


def is_phone(text: str) -> bool:
    """Return whether a text is a number in E.164, or the beginning of some."""
    return _PHONE.fullmatch(text) is not None


def _is_region(text: str) -> bool:
    parts = text.split("/")
    return (
        _COUNTRY.fullmatch(parts[0]) is not None
        and len(parts) <= 3
        and all(part and part == part.strip() for part in parts)
    )


def shown(rule: Rule) -> dict[str, Any]:
    """Return a rule for display: telephone numbers and buyers are only counted."""
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    for key in ("phones", "buyers"):
        if plain[key]:
            plain[key] = f"{len(plain[key])} configured"
    return {key: value for key, value in plain.items() if value != _DEFAULTS.get(key)}
