"""UUIDv7 (RFC 9562 section 5.7), made in the process so that the SQL runs on PostgreSQL 15.

``os.urandom`` costs more than all the rest of making an id, so random bytes are fetched
for many ids at once.
"""

import os
import time
from uuid import UUID

_POOL_IDS = 256
_VERSION = 7 << 76
_VARIANT = 2 << 62
_RAND_A_MASK = 0xFFF << 64
_RAND_B_MASK = (1 << 62) - 1


class UUIDv7:
    """Makes ids that sort by the millisecond they were made in. One per process, one thread."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def __call__(self) -> UUID:
        """Return a new id: 48 bits of Unix milliseconds, then 74 random bits."""
        at = self._at
        if at >= len(self._pool):
            self._pool = os.urandom(10 * _POOL_IDS)
            at = 0
        self._at = at + 10
        noise = int.from_bytes(self._pool[at : at + 10], "big")
        stamp = time.time_ns() // 1_000_000
        return UUID(
            int=(stamp << 80)
            | _VERSION
            | ((noise << 2) & _RAND_A_MASK)
            | _VARIANT
            | (noise & _RAND_B_MASK)
        )
