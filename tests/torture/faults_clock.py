"""The wall clock of gateways and workers jumps while they run; the servers' clock is right."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from loadtest.history import NO_ANSWER, NOT_CONNECTED
from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from tests.torture.fault import Fault, Impossible
from tests.torture.world import World

_MISSING = "libfaketime is missing: `pip install libfaketime` or `apt-get install libfaketime`"
_OF_DEBIAN = "*/faketime/libfaketime.so.1"


def library() -> Path:
    """Find libfaketime: PyPI's, else the system's. Raises ``Impossible``.

    Not ``libfaketimeMT``: it delays waits with a time-out by a tenth of a second.
    """
    # Not imported: that would fake the time of this process.
    package = importlib.util.find_spec("libfaketime")
    roots = [Path("/usr/lib"), Path("/usr/lib64")]
    found = [path for root in roots if root.is_dir() for path in root.glob(_OF_DEBIAN)]
    if package is not None and package.origin is not None:
        vendored = "vendor/libfaketime/src/libfaketime.so.1"
        found.insert(0, Path(package.origin).parent / vendored)
    for path in found:
        if path.is_file():
            return path
    raise Impossible(_MISSING)


class WrongClock(Fault):
    """The wall clock jumps, and later jumps back; the monotonic clock does not."""

    # A callback with another time in its signature is rejected as stale, rightly.
    refusals = frozenset({400, 401, 403, 503, NO_ANSWER, NOT_CONNECTED})
    sees = (
        "doctor names the clock; callbacks are rejected as stale "
        "(tidegate_refused_callbacks_total)."
    )
    do = "Set the clock (NTP); providers retry the callbacks that were rejected."

    def __init__(self, name: str, jump: str, *, is_off_by: str) -> None:
        self.name = name
        self._jump = jump
        #: The SQL condition for a ``received_at`` that such a clock wrote.
        self._is_off_by = is_off_by
        self._file: Path | None = None

    async def prepare(self, world: World) -> None:
        """Every process gets its time from the library, still the right one."""
        self._file = world.directory / "faketime"
        self._set_offset("+0")
        world.environment |= {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read at each call: a cached offset would not change at the jump.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    async def strike(self, world: World) -> None:
        """The clock jumps."""
        self._set_offset(self._jump)

    async def mend(self, world: World) -> None:
        """The clock jumps back."""
        self._set_offset("+0")

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """The clock was really wrong."""
        async with world.admin() as admin:
            off = await admin.fetchval(
                f"SELECT count(*) FROM raw_messages WHERE received_at {self._is_off_by}"
            )
        return [Check("messages received at a wrong time", "some", "some" if off else "none")]

    def _set_offset(self, offset: str) -> None:
        assert self._file is not None, "prepare sets it"
        # Atomically: a half-written file would be another time.
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n", "ascii")
        new.replace(self._file)


FAULTS: list[Fault] = [
    WrongClock("clock 25 h ahead", "+25h", is_off_by="> now() + interval '20 h'"),
    WrongClock(
        "clock 10 min behind",
        "-10m",
        is_off_by="< (SELECT max(received_at) FROM raw_messages) - interval '9 min'",
    ),
]
