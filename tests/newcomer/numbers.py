"""The numbers that a page states in its sentences and tables.

A number is written in digits, or as a word before a unit ("ten minutes"). What is in code, in a
link's target or in a comment is no statement; nor is a status of HTTP, a version, a date.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus

from msgspec import Struct

WORDS = {
    word: Fraction(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {
    "thirty": Fraction(30),
    "fifty": Fraction(50),
    "hundred": Fraction(100),
    "half": Fraction(1, 2),
    "half an": Fraction(1, 2),
    "a third": Fraction(1, 3),
    "two thirds": Fraction(2, 3),
    "a quarter": Fraction(1, 4),
    "a fifth": Fraction(1, 5),
    "a tenth": Fraction(1, 10),
}
_UNITS = (
    r"seconds?|minutes?|hours?|days?|weeks?|months?|years?|milliseconds?|percent|times|bytes"
    r"|processes|people|pages|keys|streams|places|requests|orders|connections|rounds|cores"
)
_DIGITS = r"\d[\d,]*(?:\.\d+)?(?:/\d+)?"
_SPELT = "|".join(sorted(WORDS, key=len, reverse=True))
#: Before the unit may stand one more word: "ten quiet minutes".
NUMBER = re.compile(
    rf"(?<![\w.\-/#])(?P<digits>{_DIGITS})(?![\w]*[-_]\w)"
    rf"|\b(?P<word>{_SPELT})(?=(?: \w+)? (?:{_UNITS})\b|(?: of)\b)",
    re.IGNORECASE,
)
_STATUSES = "|".join(str(int(status)) for status in HTTPStatus)
#: What is no statement, blanked before numbers are looked for.
_NO_STATEMENT = tuple(
    re.compile(pattern, re.DOTALL | re.MULTILINE)
    for pattern in (
        r"<!--.*?-->",
        r"^(?P<f>```+|~~~+).*?^(?P=f)[ \t]*$",
        r"(?P<b>`+)(?!`).*?(?<!`)(?P=b)(?!`)",
        r"(?<=\])\([^)]*\)",
        r"<https?://[^>]*>|https?://\S+",
        r"^[ \t]*\d+\.(?=\s)",  # of a numbered list
        r"^#+ [^\n]*$",  # of a heading
        r"\b\d{4}-\d\d-\d\d(?:T[\d:.]+\S*)?",
        r"\b[1-5]xx\b",
        r"\bstatus(?:es)?(?: is)? [0-2]\b",
        r"\b(?:RFC|decisions?|ISO|issue|stages?|steps?|tiers?|part)\s+\d+(?:(?:,| and| to)\s+\d+)*",
        # A product and its version; a protocol and its own; an algorithm and its size.
        r"\b(?:PostgreSQL|Postgres|Python|HAProxy|nginx|Valkey|Redis|Debian|Ubuntu|OpenAPI|API v"
        r"|HTTP|TLS|SHA|AES|RSA|UTF|CSP|Linux|Locust|GitHub|ISO)[- /]?v?\d[\w.\-]*",
        rf"(?<![\w.,])(?:{_STATUSES})(?![\w.,]*\d)"
        r"(?=\s*(?:$|[.,:;)\|\u2013\u2014`*/]|(?:and|or|to|with|for|is|are|as|if|when|until|while|by|in|on|at"
        r"|again|means?|the|because|instead|from|without|before|after|only|says?)\b))",
    )
)


#: A table whose first column is headed `#`: the rows are numbered.
_NUMBERED_TABLE = re.compile(r"^\| # \|.*\n(?:\|.*\n)+", re.MULTILINE)
_FIRST_CELL = re.compile(r"^\| \d+\S? \|", re.MULTILINE)


class Number(Struct, frozen=True):
    """A number of a page: where it begins in the text, and its value."""

    at: int
    text: str
    value: Fraction


def stated(text: str) -> Iterator[Number]:
    """Yield every number that a page states, in its order."""
    for match in NUMBER.finditer(blanked(text)):
        yield Number(match.start(), match[0], value(match[0]))


def blanked(text: str) -> str:
    """Return the text, as long as it was, with blanks for all that states nothing."""
    text = _NUMBERED_TABLE.sub(lambda table: _FIRST_CELL.sub(_blanks, table[0]), text)
    for pattern in _NO_STATEMENT:
        text = pattern.sub(_blanks, text)
    return text


def _blanks(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def value(text: str) -> Fraction:
    """Return the value of a number as it is written. Raises ``ValueError``."""
    word = text.lower()
    if word in WORDS:
        return WORDS[word]
    whole, _, below = word.replace(",", "").partition("/")
    return Fraction(Decimal(whole)) / (Fraction(Decimal(below)) if below else 1)


def line_of(text: str, at: int) -> int:
    """Return the number of the line that holds this place."""
    return text.count("\n", 0, at) + 1


class Fragment:
    """Words of a page with ``{}`` for each number in them; blanks and line breaks are one."""

    def __init__(self, words: str) -> None:
        self.words = words
        pieces = [r"\s+".join(map(re.escape, _split(piece))) for piece in words.split("{}")]
        number = rf"({_DIGITS}|{_SPELT})"
        self._pattern = re.compile(number.join(pieces), re.IGNORECASE)

    def found(self, text: str) -> Iterator[Sequence[Number]]:
        """Yield the numbers of each place where the page has these words."""
        for match in self._pattern.finditer(text):
            yield [
                Number(match.start(group), match[group], value(match[group]))
                for group in range(1, (match.lastindex or 0) + 1)
            ]


def _split(piece: str) -> list[str]:
    """Return the words; a blank at either end is a word without letters, so that it is kept."""
    return re.split(r"\s+", piece)
