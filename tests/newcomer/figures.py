"""Where each number of README.md and the guides comes from.

A line names a page, words of it with ``{}`` for each number, and the numbers. The page must have
these words with these numbers: when the code changes, the test names the sentence. What no line
covers fails too: a number that nobody holds is soon untrue.

``held_code`` and ``held_hand_off`` have the numbers that the code decides, ``held_measured`` those
that were measured: ``ops/guides/figures.json`` has what each run printed, when and where.
"""

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import click
from msgspec import Struct

from gateway.runtime.settings import Settings
from ops import effective
from tests.newcomer.documents import GUIDES, ROOT

Value = int | float | Fraction
#: Why a number is not tied to anything: an output on the same page shows it, or it counts what the
#: sentence itself enumerates, or what it says is what people are told to do.
Why = Literal["shown", "enumerated", "advice"]

FIGURES = GUIDES / "figures.json"


class Held(Struct, frozen=True):
    """Words of a page and the numbers in them: ``values``, or ``free`` for a reason."""

    page: str
    words: str
    values: tuple[Value, ...] = ()
    free: Why | None = None

    def expected(self) -> list[Fraction]:
        """Return the numbers, exact as they are written in decimals."""
        return [
            value if isinstance(value, Fraction) else Fraction(str(round(float(value), 6)))
            for value in self.values
        ]


class On:
    """Collects the lines of one page."""

    def __init__(self, page: str) -> None:
        self._page = page
        self.lines: list[Held] = []

    def say(self, words: str, *values: Value) -> None:
        """The page has these words with these numbers."""
        self.lines.append(Held(self._page, words, values))

    def free(self, words: str, why: Why) -> None:
        """The page has these words, and their numbers are nobody's."""
        self.lines.append(Held(self._page, words, free=why))


@cache
def _runs() -> dict[str, Any]:
    runs: dict[str, Any] = json.loads(FIGURES.read_text("utf-8"))["runs"]
    return runs


class Run:
    """A measured run by its name: ``Run("bench")("c_p99_ms")``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *names: str) -> Iterator[float]:
        """Yield figures of the run. Raises ``KeyError``."""
        for name in names:
            yield _runs()[self._name]["values"][name]


def default(setting: str) -> float:
    """Return the default of a setting."""
    assert setting in Settings.__struct_fields__
    return float(effective.defaults()[setting])


def constant(path: str, name: str) -> float:
    """Return a constant of a module that cannot be imported here (Locust patches the process)."""
    return number(rf"(?m)^{name} = ([\d.]+)$", (ROOT / path).read_text("utf-8"))


def option(command: click.Command, name: str) -> float:
    """Return the default of an option of a command."""
    (found,) = (each for each in command.params if each.name == name)
    value = found.get_default(click.Context(command))
    assert isinstance(value, int | float)
    return float(value)


def number(pattern: str, text: str) -> float:
    """Return the number that the one group of a pattern finds in a text of the code."""
    match = re.search(pattern, text)
    assert match, f"the code has no {pattern!r} any more"
    return float(match[1])
