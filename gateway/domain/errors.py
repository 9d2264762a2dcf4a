"""What can go wrong, by what the client should do about it.

::

    TidegateError
    ├── Invalid        the message is wrong: fix it (400/422); carries the fields
    ├── Rejected        not ours or not true: signature, freshness, account (401/403)
    ├── Unavailable    retry later: nothing was stored, or a repeat is harmless (503)
    └── Poisoned       it cannot be stored: parked for an operator (422)
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """One wrong field: its path as in ``items[0].quantity``, and the reason in plain words."""

    field: str
    reason: str


class TidegateError(Exception):
    """Base of every error that the gateway means to raise."""


class Invalid(TidegateError):
    """The message is wrong and sending it again will not help."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.reason}" for fault in faults))
        self.faults = faults


class Rejected(TidegateError):
    """The message is not true, not fresh or not ours. ``reason`` is one of a closed list."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(hint or reason)
        self.reason = reason
        self.hint = hint


class Unavailable(TidegateError):
    """Nothing was stored, or it is not known whether it was: sending it again is safe."""

    def __init__(self, part: str, retry_after_s: float = 1.0) -> None:
        super().__init__(f"{part} is unavailable")
        self.part = part
        self.retry_after_s = retry_after_s


class Poisoned(TidegateError):
    """This one message cannot be stored. It was parked under ``parked_id``."""

    def __init__(self, parked_id: str, reason: str) -> None:
        super().__init__(reason)
        self.parked_id = parked_id
        self.reason = reason
