"""The kinds of screening rules: what each asks of an order. Pure, and read-only once made."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from gateway.domain import phones, plain_phones, postcodes, screening_facts
from gateway.domain.expressions import Expression
from gateway.domain.placing import Placement
from gateway.domain.screening import Values


class Patterns:
    """Exact texts, and beginnings of texts: each asked for in one look-up a length."""

    def __init__(self, patterns: Collection[str]) -> None:
        """``patterns``: texts; one that ends with ``*`` stands for all that begin so."""
        self._exact = frozenset(each for each in patterns if not each.endswith("*"))
        self._prefixes = frozenset(each[:-1] for each in patterns if each.endswith("*"))
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})

    def has(self, text: str) -> bool:
        """Return whether a text is one of these."""
        if text in self._exact:
            return True
        # A loop: every line of every order is asked for, and a generator costs twice as much.
        for length in self._lengths:  # noqa: SIM110
            if text[:length] in self._prefixes:
                return True
        return False


class Blocked:
    """Orders of blocked telephone numbers and buyers."""

    def __init__(self, *, numbers: Collection[str], buyers: Collection[str]) -> None:
        """``numbers``: in E.164, or beginnings with ``*``."""
        self._numbers = Patterns(numbers)
        self._buyers = frozenset(buyers)
        self._has_numbers = bool(numbers)

    def found(self, placement: Placement) -> Values | None:
        """Return the number, masked, or the buyer that is blocked; None: neither is."""
        if placement.submission.buyer_id in self._buyers:
            return {"buyer_id": placement.submission.buyer_id}
        if self._has_numbers and placement.phone and self._is_blocked(placement):
            return {"phone": phones.masked(placement.phone)}
        return None

    def _is_blocked(self, placement: Placement) -> bool:
        number = placement.phone
        if ";" in number:
            number = number.partition(";")[0]
        if self._numbers.has(number):
            return True
        to = placement.submission.to
        if plain_phones.has_pattern(to.country):
            return False
        # Where plain numbers of a country are not known, digits are found by as they were written.
        return any(
            self._numbers.has(each.partition(";")[0])
            for each in phones.spellings(to.phone or "", to.country)
        )


class Limit:
    """Purchases within a window, of some articles or of all."""

    def __init__(
        self,
        *,
        per: Sequence[Literal["buyer", "phone"]],
        window_s: int,
        orders_max: int | None,
        pieces_max: int | None,
        skus: Collection[str],
    ) -> None:
        self.per = per
        self.window_s = window_s
        self.orders_max = orders_max
        self.pieces_max = pieces_max
        self._skus = Patterns(skus) if skus else None

    def pieces(self, placement: Placement) -> int:
        """Return how many pieces of an order count; 0: the order does not."""
        items = placement.submission.items
        skus, found = self._skus, 0
        for item in items:
            if skus is None or skus.has(item.sku):
                found += item.quantity
        return found


class Address:
    """Addresses that a courier could not deliver to."""

    def __init__(
        self,
        *,
        countries: Collection[str],
        street_chars_min: int,
        postcode: Literal["off", "if_given", "required"],
        forms: Mapping[str, Sequence[str]],
    ) -> None:
        self._countries = frozenset(countries)
        self._street_chars_min = street_chars_min
        self._postcode = postcode
        known = {**postcodes.FORMS, **forms}
        self._patterns = {country: postcodes.pattern(of) for country, of in known.items()}

    def found(self, placement: Placement) -> Values | None:
        """Return what is missing of an address; None: nothing, or there is no address."""
        to = placement.submission.recipient
        if to is None or (self._countries and to.country not in self._countries):
            return None
        missing = []
        for part in postcodes.parts(to.country):
            if not getattr(to, part).strip():
                missing.append(part)
        street = len((to.street or "").strip())
        faults: dict[str, Any] = {}
        if missing:
            faults["missing"] = missing
        if street < self._street_chars_min:
            faults["street_chars"] = street
        if self._is_wrong(to.postcode or "", to.country):
            faults["postcode"] = "wrong form" if to.postcode else "missing"
        return {"country": to.country, **faults} if faults else None

    def _is_wrong(self, postcode: str, country: str) -> bool:
        if self._postcode == "off" or (pattern := self._patterns.get(country)) is None:
            return False
        text = postcode.strip()
        if not text:
            return self._postcode == "required"
        return pattern.fullmatch(text) is None


class Below:
    """Orders below an amount of their currency."""

    def __init__(self, below_minor: Mapping[str, int]) -> None:
        """``below_minor``: by currency, in minor units."""
        self._below_minor = below_minor

    def fits(self, placement: Placement) -> bool:
        """Return whether what is payable is below; of other currencies nothing is."""
        order = placement.submission
        bound = self._below_minor.get(order.currency)
        if bound is None:
            return False
        return screening_facts.minor(order.amounts.payable, order.currency) < bound

    def values(self, placement: Placement) -> Values:
        """Return what is payable."""
        return {"payable_minor": screening_facts.shown("payable_minor", placement)}


class Destination:
    """Orders by where they go, what is in them and what they weigh. Each part that is given counts.

    ``regions``: (country), (country, province) or (country, province, city).
    """

    def __init__(
        self,
        *,
        regions: Collection[tuple[str, ...]],
        countries: Collection[str],
        skus: Collection[str],
        weight_g: tuple[int | None, int | None],
        attributes: Mapping[str, Sequence[str]],
    ) -> None:
        self._regions = frozenset(regions)
        self._countries = frozenset(countries)
        self._skus = Patterns(skus) if skus else None
        self._weight_g = weight_g
        self._attributes = attributes
        self._asked = tuple(self._names())

    def fits(self, placement: Placement) -> bool:
        """Return whether all parts that are given fit the order."""
        order, to = placement.submission, placement.submission.to
        if self._countries and to.country not in self._countries:
            return False
        if self._regions:
            place = (to.country, to.province, to.city)
            if self._regions.isdisjoint((place[:1], place[:2], place)):
                return False
        if self._skus is not None and not any(self._skus.has(item.sku) for item in order.items):
            return False
        if self._weight_g != (None, None) and not self._has_weight(placement):
            return False
        if not self._attributes:
            return True
        told = order.attributes or {}
        return all(told.get(key) in texts for key, texts in self._attributes.items())

    def values(self, placement: Placement) -> Values:
        """Return country, province, city and weight, as far as they are asked for."""
        return {name: screening_facts.shown(name, placement) for name in self._asked}

    def _names(self) -> Iterator[str]:
        if self._countries or self._regions:
            yield "country"
        if any(len(region) > 1 for region in self._regions):
            yield "province"
        if any(len(region) > 2 for region in self._regions):
            yield "city"
        if self._weight_g != (None, None):
            yield "weight_g"

    def _has_weight(self, placement: Placement) -> bool:
        weight = screening_facts.weight_g(placement.submission)
        if weight is None:
            return False
        least, most = self._weight_g
        return (least is None or weight >= least) and (most is None or weight <= most)


class Asked:
    """Orders of which an expression is true."""

    def __init__(self, expression: Expression[Placement]) -> None:
        self._expression = expression

    def fits(self, placement: Placement) -> bool:
        """Return whether it is true of the order."""
        return self._expression.is_true(placement)

    def values(self, placement: Placement) -> Values:
        """Return what it asks of the order, private values masked."""
        return {name: screening_facts.shown(name, placement) for name in self._expression.names}

    def found(self, placement: Placement) -> Values | None:
        """Return the values that make it true; None: it is not."""
        return self.values(placement) if self.fits(placement) else None
