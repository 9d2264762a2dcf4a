"""What a check found, how bad it is, and what to do about it."""

from typing import Literal

from msgspec import Struct

#: ``ok``; ``warn``: it runs, and someone should look; ``fail``: it breaks a promise or can not run.
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
    """It runs, and someone should look."""
    return Finding(check, "warn", found, advice)


def fail(check: str, found: str, advice: str) -> Finding:
    """It breaks a promise, or nothing can run."""
    return Finding(check, "fail", found, advice)
