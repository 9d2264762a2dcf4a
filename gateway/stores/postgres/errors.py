"""Translate asyncpg's exceptions, once, into what the caller should do.

- ``Unavailable``: Postgres is unreachable, too slow, or lacks the schema; whether the batch
  committed is not known, and repeating it is harmless by the unique keys.
- ``Contended``: another transaction was in the way; retry at once.
- ``BadRow``: something in the batch can never be stored; find the row and park it.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from gateway.domain.errors import TidegateError, Unavailable

_log = logging.getLogger(__name__)


class Contended(TidegateError):
    """Deadlock, serialization failure, or a unique key that another transaction just took."""


class BadRow(TidegateError):
    """A value that the database rejects: out of range, not encodable, against a constraint."""


_CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
)
_BAD_ROW = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.exceptions.ProgramLimitExceededError,
    asyncpg.exceptions.CharacterNotInRepertoireError,
    asyncpg.exceptions.UntranslatableCharacterError,
    # Out of the range of a column's type, or not a finite number.
    ArithmeticError,
    UnicodeEncodeError,
)
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InternalClientError,
    asyncio.TimeoutError,
    OSError,
)


@contextmanager
def translated(part: str = "postgres") -> Iterator[None]:
    """Raise the errors of this module in place of asyncpg's; other exceptions pass.

    ``part`` is what ``Unavailable`` names.
    """
    try:
        yield
    except _CONTENDED as exc:
        raise Contended(str(exc)) from exc
    except _BAD_ROW as exc:
        raise BadRow(_reason(exc)) from exc
    except _AWAY as exc:
        raise Unavailable(part) from exc
    except asyncpg.InterfaceError as exc:
        # A closing pool, a lost connection, or an argument that no codec takes.
        if "invalid input for query argument" in str(exc):
            raise BadRow(_reason(exc)) from exc
        raise Unavailable(part) from exc
    except asyncpg.PostgresError as exc:
        # A missing column or grant, an internal error: the fault of the server or its schema, and
        # not of the entries.
        _log.error("postgres rejects a statement", extra={"sqlstate": exc.sqlstate})
        raise Unavailable(part) from exc


def _reason(exc: BaseException) -> str:
    # The driver's message may quote the value: only the kind of fault is kept.
    state = getattr(exc, "sqlstate", None)
    constraint = getattr(exc, "constraint_name", None)
    name = type(exc).__name__.removesuffix("Error")
    return f"{name}{f' ({constraint})' if constraint else ''}{f' [{state}]' if state else ''}"
