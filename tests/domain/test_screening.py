"""Rules of every kind: what each finds, what it says of it, and that each is asked once."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.placing import Placement
from gateway.domain.screening import NOTHING, Held, Releasing, Routing, Rules, Screened, Screening
from gateway.domain.screening_rules import Address, Below, Blocked, Destination, Patterns
from gateway.domain.screening_trial import Trial
from tests.domain.support import placement, submission

_CN = {"country": "CN", "province": "广东省", "city": "深圳市", "district": "南山区"}


def order(**changes: Any) -> Placement:
    return placement(submission(1, **{"remark": None, **changes}))


def index(phone: str) -> bytes:
    return phone.encode()[:16]


def screen(rules: Rules, of: Placement | None = None) -> Screened:
    return Screening(rules).screen(of or order(), index)


@given(st.lists(st.text("ab*", max_size=4), max_size=6), st.text("ab", max_size=5))
def test_patterns_are_what_they_say(patterns: list[str], text: str) -> None:
    said = any(
        text.startswith(each[:-1]) if each.endswith("*") else text == each for each in patterns
    )
    assert Patterns(patterns).has(text) == said


@pytest.mark.parametrize(
    ("phone", "country", "is_blocked"),
    [
        ("13800138000", "CN", True),
        ("+86 138-0013-8000", "CN", True),
        ("13800138000转12", "CN", True),
        ("13800138001", "CN", False),
        ("17012345678", "CN", True),
        ("138****8000", "CN", False),
        ("020 7946 0000", "NL", False),
        ("020 123 4567", "NL", True),
    ],
)
def test_a_number_is_blocked_however_it_is_written(
    phone: str, country: str, is_blocked: bool
) -> None:
    rule = Blocked(numbers=["+8613800138000", "+86170*", "+31201234567"], buyers=["b-9"])
    found = rule.found(order(recipient={"phone": phone, "country": country}))
    assert (found is not None) == is_blocked
    assert found is None or (list(found) == ["phone"] and "*" in found["phone"])
    assert rule.found(order(buyer_id="b-9")) == {"buyer_id": "b-9"}


@pytest.mark.parametrize(
    ("to", "faults"),
    [
        ({}, {}),
        ({"district": " "}, {"missing": ["district"]}),
        ({"province": "", "city": ""}, {"missing": ["province", "city"]}),
        ({"street": "路1号"}, {"street_chars": 3}),
        ({"postcode": "51800"}, {"postcode": "wrong form"}),
        ({"country": "US", "province": "CA", "city": "LA", "postcode": "90001-1234"}, {}),
        ({"country": "US", "province": "", "city": "LA"}, {"missing": ["province"]}),
        ({"country": "GB", "city": "London", "postcode": "sw1a 1aa"}, {}),
        ({"country": "HK", "city": ""}, {}),
    ],
)
def test_an_address_has_what_its_country_needs(
    to: dict[str, str], faults: Mapping[str, Any]
) -> None:
    rule = Address(countries=[], street_chars_min=5, postcode="if_given", forms={})
    to = {**_CN, "street": "科技园路1号", "postcode": "518000", **to}
    if to["country"] != "CN" and "postcode" not in faults and to["postcode"] == "518000":
        to["postcode"] = ""
    found = rule.found(order(recipient=to))
    assert found == ({"country": to["country"], **faults} if faults else None)


def test_a_postcode_is_asked_for_where_it_is_required_and_its_form_is_known() -> None:
    rule = Address(countries=["CN", "KE"], street_chars_min=0, postcode="required", forms={})
    wanted = {**_CN, "postcode": ""}
    assert rule.found(order(recipient=wanted)) == {"country": "CN", "postcode": "missing"}
    kenya = {"country": "KE", "city": "Nairobi", "postcode": ""}
    assert rule.found(order(recipient=kenya)) is None
    assert rule.found(order(recipient={**kenya, "country": "US"})) is None, "not for this country"


_PLACES = [("CN",), ("CN", "广东省"), ("CN", "广东省", "深圳市"), ("US",), ("US", "CA")]


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(_PLACES), max_size=2),
            st.sampled_from(["", "w1", "w2"]),
            st.sampled_from(["", "sf", "yto"]),
        ),
        max_size=6,
    ),
    st.sampled_from([*_PLACES, ("JP",)]),
)
def test_the_first_rule_that_fits_decides_each_of_both(
    told: list[tuple[list[tuple[str, ...]], str, str]], place: tuple[str, ...]
) -> None:
    routing = tuple(
        Routing(
            f"r{n}", (), warehouse, carrier,
            Destination(
                regions=regions, countries=[], skus=[], weight_g=(None, None), attributes={}
            ),
        )
        for n, (regions, warehouse, carrier) in enumerate(told)
    )  # fmt: skip
    country, province, city = (*place, "", "")[:3]
    of = order(recipient={"country": country, "province": province, "city": city})
    made = screen(Rules(routing=routing), of)
    fitting = [
        (warehouse, carrier)
        for regions, warehouse, carrier in told
        if not regions or any(place[: len(region)] == region for region in regions)
    ]
    assert made.warehouse == next((each[0] for each in fitting if each[0]), "")
    assert made.carrier == next((each[1] for each in fitting if each[1]), "")
    said: dict[str, str] = {}
    for finding in made.findings:
        said |= {
            key: finding.values[key] for key in ("warehouse", "carrier") if key in finding.values
        }
    expected = {"warehouse": made.warehouse, "carrier": made.carrier}
    assert said == {key: text for key, text in expected.items() if text}


def test_weight_goods_and_attributes_all_count() -> None:
    rule = Destination(
        regions=[],
        countries=["CN"],
        skus=["ICE-*"],
        weight_g=(1000, 5000),
        attributes={"temperature": ["frozen"]},
    )
    ice = {"sku": "ICE-1", "name": "Ice", "quantity": 2, "unit_price": "5.00", "weight_g": 600}
    fits: dict[str, Any] = {"items": [ice], "attributes": {"temperature": "frozen"}}
    assert rule.fits(order(**fits))
    assert rule.values(order(**fits)) == {"country": "CN", "weight_g": 1200}
    for change in (
        {"attributes": {"temperature": ["frozen"]}},
        {"items": [{**ice, "weight_g": 499}]},
        {"items": [{**ice, "weight_g": 2501}]},
        {"items": [{key: ice[key] for key in ("sku", "name", "quantity", "unit_price")}]},
        {"items": [{**ice, "sku": "ICE"}]},
        {"recipient": {"country": "US"}},
    ):
        assert not rule.fits(order(**fits | change)), change


class Counting:
    """A rule that counts how often it is asked."""

    def __init__(self, found: Mapping[str, Any] | None) -> None:
        self.asked, self._found = 0, found

    def found(self, _: Placement) -> Mapping[str, Any] | None:
        self.asked += 1
        return self._found


def test_every_rule_is_asked_once_and_the_gravest_hold_stays() -> None:
    rules = [Counting({"n": 1}), Counting(None), Counting({"n": 2}), Counting({"n": 3})]
    holds = ("screened_note", "screened", "screened", "screened_note")
    held = tuple(
        Held(f"r{n}", "expression", (), hold, rule=rule)  # type: ignore[arg-type]
        for n, (rule, hold) in enumerate(zip(rules, holds, strict=True))
    )
    made = screen(Rules(holding=held))
    assert [rule.asked for rule in rules] == [1, 1, 1, 1]
    assert made.hold == "screened"
    assert [each.outcome for each in made.findings] == ["noted", "held", "noted"]


def test_a_rule_of_another_channel_is_not_asked() -> None:
    rule = Counting({"n": 1})
    made = screen(
        Rules(holding=(Held("r", "expression", frozenset({"app"}), "screened", rule=rule),))
    )
    assert (made, rule.asked) == (NOTHING, 0)


@pytest.mark.parametrize(("bound", "is_released"), [(1991, True), (1990, False), (1989, False)])
def test_below_is_below_and_releases_only_what_it_names(bound: int, is_released: bool) -> None:
    item = {"sku": "A", "name": "Tea", "quantity": 2, "unit_price": "9.95"}
    of = order(items=[item], amounts={"goods": "19.90", "payable": "19.90", "freight": "0"})
    small = Releasing("small", (), frozenset({"named", "lookalike"}), Below({"CNY": bound}))
    held = tuple(
        Held(name, "expression", (), "screened", rule=Counting({})) for name in ("named", "other")
    )
    made = screen(Rules(holding=held, releasing=(small,)), of)
    assert made.hold == "screened", "the other one stays"
    assert [each.released_by for each in made.findings] == ["small" if is_released else "", ""]
    screening = Screening(Rules(releasing=(small,)))
    assert (screening.lookalike_released(of, "W-1") is not None) == is_released


def test_a_trial_counts_as_the_ledger_does() -> None:
    from gateway.domain.screening_rules import Limit

    limit = Limit(per=["buyer"], window_s=3600, orders_max=2, pieces_max=None, skus=[])
    trial = Trial(
        Screening(Rules(holding=(Held("two", "limit", (), "screened", counts=limit),))),
        phone_index=index,
    )
    became = [trial.count(trial.screen(each), each.received_at)[1] for each in [order()] * 3]
    assert became == ["passed", "passed", "screened"]
    assert trial.found == {("two", "held"): 1}
