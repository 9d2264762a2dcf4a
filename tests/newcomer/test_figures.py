"""Every number of README.md and the guides is the code's, or was measured."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from tests.newcomer import documents, held_code, held_hand_off, held_measured, numbers
from tests.newcomer.figures import FIGURES, Held
from tests.newcomer.numbers import Fragment

HELD = [*held_code.held(), *held_hand_off.held(), *held_measured.held()]


def _text(page: str) -> str:
    return (documents.ROOT / page).read_text("utf-8")


def wrong(held: Held, text: str) -> str:
    """Return what the text says wrong; empty: it has the words, with the numbers of the code."""
    found = list(Fragment(held.words).found(text))
    if not found:
        return f"{held.page} does not say “{held.words}” any more: correct the line"
    for each in found:
        if not held.free and [number.value for number in each] != held.expected():
            said = [number.text for number in each]
            return f"{held.page} says {said} and not {list(held.values)} in “{held.words}”"
    return ""


@pytest.mark.parametrize("held", HELD, ids=lambda held: f"{held.page}: {held.words}")
def test_a_page_says_what_the_code_says(held: Held) -> None:
    assert not wrong(held, _text(held.page))


@pytest.mark.parametrize(
    ("words", "value", "why"),
    [
        ("waits {} s", 6, "says"),
        ("waits {} minutes", 5, "does not say"),
        ("twice, {} and {} s", 5, "says"),
    ],
)
def test_a_number_that_parted_from_the_code_is_seen(words: str, value: float, why: str) -> None:
    assert why in wrong(Held("x.md", words, (value,)), "It waits 5 s, or twice, five and 6 s.")
    assert not wrong(Held("x.md", "waits {} s", (5.0,)), "It waits\n5 s, or twice.")


@pytest.mark.parametrize("page", documents.played(), ids=documents.name)
def test_no_number_is_held_by_nobody(page: Path) -> None:
    text = page.read_text("utf-8")
    held = {
        number.at
        for each in HELD
        if each.page == documents.name(page)
        for found in Fragment(each.words).found(text)
        for number in found
    }
    free = [
        f"line {numbers.line_of(text, number.at)}: {number.text} in “{_around(text, number.at)}”"
        for number in numbers.stated(text)
        if number.at not in held
    ]
    assert not free, "tie these in tests/newcomer/held_*.py:\n" + "\n".join(free)


def _around(text: str, at: int) -> str:
    return " ".join(text[max(0, at - 40) : at + 40].split())


def test_measured_figures_say_when_and_where() -> None:
    for name, run in json.loads(FIGURES.read_text("utf-8"))["runs"].items():
        assert run["command"], name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", run["date"]), name
        assert run["machine"], name
        assert run["values"], name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("taken every 50 ms from a dozen signals", ["50"]),
        ("for half an hour by default and four hours at most", ["half an", "four"]),
        ("2,000 connections, 0.80 of them", ["2,000", "0.80"]),
        ("after ten quiet minutes", ["ten"]),
        ("`drain_s` is `10`, see [here](a.md#b-5) and https://x.y/7", []),
        ("PostgreSQL 15, Python 3.11 and RFC 9457 on 2026-11-30, AES-256-GCM", []),
        ("is answered 503 with `Retry-After`, or 429.", []),
        ("500 keys and 200 items", ["500", "200"]),
        ("1. first\n2. second", []),
        ("```sh\nsleep 5\n```\n5 s", ["5"]),
        ("p99 at 5 P, `order-7`, W-1001", ["5"]),
        ("| 7.6 / 13.7 | 95 % |", ["7.6", "13.7", "95"]),
    ],
)
def test_what_is_a_number(text: str, found: list[str]) -> None:
    assert [number.text for number in numbers.stated(text)] == found


def test_a_fragment_finds_numbers_over_lines_and_in_words() -> None:
    (found,) = Fragment("for {} hour by default and {} hours").found(
        "lasts for half an\nhour by default  and four hours"
    )
    assert [number.value for number in found] == [Fraction(1, 2), Fraction(4)]
