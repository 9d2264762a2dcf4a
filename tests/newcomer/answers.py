"""What a command printed, compared with what a page says that it prints.

Blanks are loose, ``…`` stands for anything, and what differs from run to run (ids, times) is
compared by its shape. Everything else is literal, from the first line to the last.
"""

import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SHAPES = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"(?im)^(date:).*$"), r"\1 <date>"),
)


def is_as_said(printed: str, said: str) -> bool:
    """Return whether ``printed`` is what a page says."""
    return pattern(said).fullmatch(shaped(printed).strip()) is not None


def shaped(text: str) -> str:
    """Return the text with the shape of what differs from run to run in its place."""
    text = _ANSI.sub("", text).replace("\r", "")
    for what, shape in _SHAPES:
        text = what.sub(shape, text)
    return text


def pattern(said: str) -> re.Pattern[str]:
    """Return the pattern of all that fits what a page says."""
    lines = shaped(said).strip().splitlines()
    return re.compile(r"\s*".join(_line(line.strip()) for line in lines))


def _line(line: str) -> str:
    if line == "…":
        return r"[\s\S]*?"
    pieces = (r"\s*".join(map(re.escape, piece.split())) for piece in line.split("…"))
    return r"[^\n]*?".join(pieces)
