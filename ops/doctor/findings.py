"""One result of a check: its severity and the advice."""

from typing import Literal

from msgspec import Struct

#: ``ok``; ``warn``: it runs, but needs attention; ``fail``: a promise is broken or it cannot run.
Level = Literal["ok", "warn", "fail"]


class Finding(Struct, frozen=True):
    """One line of the report. ``advice`` is empty when all is well."""

    check: str
    level: Level
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warn(check: str, found: str, advice: str) -> Finding:
    """It runs, but needs attention."""
    return Finding(check, "warn", found, advice)


def fail(check: str, found: str, advice: str) -> Finding:
    """It breaks a promise, or nothing can run."""
    return Finding(check, "fail", found, advice)
