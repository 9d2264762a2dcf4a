"""Request ids: what one request is called in its answer, in the log, and at its sender.

The sender's own id is used where it is plain; else one is made here.
"""

import itertools
import os
import re
from base64 import b32encode
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The id of the request that is being handled; empty outside of one. Log lines carry it.
current: ContextVar[str] = ContextVar("request_id", default="")

#: Characters of UUIDs, of trace ids and of what proxies make. None needs escaping in a header, in
#: JSON or in a log, and the length keeps a sender from filling the log.
PATTERN = r"[A-Za-z0-9._:/+=@~-]{1,128}"
_PLAIN = re.compile(PATTERN)


def is_plain(text: str) -> bool:
    """Return whether a sender's id may be used as it is."""
    return _PLAIN.fullmatch(text) is not None


class RequestIds:
    """Makes ids: 50 random bits of this object and a counter.

    So no two are equal, across processes and restarts too, and those of one process sort by time
    as long as they have the same length.
    """

    def __init__(self) -> None:
        self._prefix = b32encode(os.urandom(7))[:10].decode().lower()
        self._serial = itertools.count(1)

    def __call__(self) -> str:
        """Return a new id."""
        return f"{self._prefix}-{next(self._serial):x}"


@contextmanager
def naming(request_id: str) -> Iterator[None]:
    """Let the log lines of a block, and of the tasks it begins, carry this id."""
    token = current.set(request_id)
    try:
        yield
    finally:
        current.reset(token)
