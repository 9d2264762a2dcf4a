"""Why a command cannot do its work: one sentence for the operator and an exit status.

- 2: a wrong option or setting. Nothing was tried; the same command fails the same way again.
- 1: something failed while running; the same command may succeed later.

An error that is not listed here is a bug, and keeps its traceback.
"""

import asyncio

import asyncpg
import click

from gateway.domain.errors import TidegateError, Unavailable
from gateway.runtime.settings import SettingsError
from gateway.stores.postgres.key_ring import WrongKeyRing
from gateway.stores.sealing import SealingError
from ops.embedded.errors import CannotStart


class Failure(click.ClickException):
    """Ends the command with one sentence on stderr and exit status 1."""

    exit_code = 1


class Wrong(Failure):
    """Ends the command because an option or a setting is wrong: exit status 2."""

    exit_code = 2


def explained(exc: Exception) -> Failure | None:
    """Return the sentence for an error that an operator can mend; None for a bug."""
    if _cannot_be_encoded(exc):
        return Wrong("an argument is not valid UTF-8")
    if isinstance(exc, (SettingsError, SealingError, WrongKeyRing)):
        return Wrong(str(exc))
    if isinstance(exc, Unavailable):
        return Failure(unavailable(exc))
    if isinstance(exc, (TidegateError, CannotStart)):
        return Failure(str(exc))
    if isinstance(exc, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError)):
        return Failure(reason(exc))
    if isinstance(exc, OSError) and not isinstance(exc, BrokenPipeError):  # a reader that left
        return Failure(f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}")
    return None


def _cannot_be_encoded(exc: BaseException | None) -> bool:
    """Return whether bytes of the command line that are no text got as far as a driver."""
    seen: set[int] = set()
    # A cause may be the context of its own cause: such a chain has no end.
    while exc is not None and id(exc) not in seen:
        if isinstance(exc, UnicodeEncodeError):
            return True
        seen.add(id(exc))
        exc = exc.__cause__ or exc.__context__
    return False


def unavailable(exc: Unavailable) -> str:
    """Name what is unavailable and why, as far as the driver's error says."""
    why = reason(exc.__cause__) if exc.__cause__ is not None else ""
    return f"{exc}{f': {why}' if why else ''}; `tidegate doctor` looks closer"


def reason(exc: BaseException) -> str:
    """Say in plain words why Postgres could not be used. Never quotes a URL or a password."""
    if isinstance(exc, asyncpg.UndefinedTableError):
        return "the database has no schema, or an older one: run `tidegate migrate`"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    if isinstance(exc, asyncpg.PostgresError):
        return str(exc.args[0]) if exc.args else type(exc).__name__
    return str(exc) or type(exc).__name__
