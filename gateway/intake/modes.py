"""What operators said, as this process knows it: from the ledger, and from this machine's drawer.

Looked at once a second, so a word is known everywhere within two. While the ledger is away the
last known modes stand until their own end, and the drawer goes on working.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.domain import modes
from gateway.domain.errors import Unavailable
from gateway.domain.modes import Mode, Word
from gateway.intake import metrics
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
#: Seconds that a look waits for the ledger; it goes on asking beyond that, and is heard later.
_WAIT_S = 0.8


class Ledger(Protocol):
    """Where modes are kept for all."""

    async def every(self) -> list[Mode]:
        """Every mode that stands or is asked for. Raises ``Unavailable``."""
        ...


class Local(Protocol):
    """What was said on this machine and is not in the ledger yet."""

    def over(self, known: list[Mode]) -> list[Mode]:
        """The modes with what is newer here laid over them."""
        ...

    async def bring_in(self) -> None:
        """Bring it into the ledger, which answers now. Raises ``Unavailable``."""
        ...


class Modes:
    """The modes that stand now. ``words`` has what is said of a feature, by its name."""

    def __init__(self, *, ledger: Ledger, local: Local, clock: Clock) -> None:
        self._ledger = ledger
        self._local = local
        self._clock = clock
        self._asking: asyncio.Task[list[Mode]] | None = None
        self._asked_at_s = 0.0
        self._is_away = False
        # As read, and when: what is left of each is counted from there, by the monotonic clock.
        self._known: Sequence[Mode] = ()
        self._known_at_s = 0.0
        self._standing: Sequence[tuple[Mode, float]] = ()
        self._next_end_s = float("inf")
        self.words: Mapping[str, Word] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Look again and again until told to stop."""
        while not stopping.is_set():
            await self.look()
            await lifecycle.pause(stopping, _LOOK_S)

    async def look(self) -> None:
        """Find out what was said. Never raises for what is away, and never waits long for it."""
        if self._asking is None:
            self._asked_at_s = self._clock.monotonic_s()
            self._asking = asyncio.create_task(self._ledger.every(), name="modes")
            self._asking.add_done_callback(_heard)
        # Waited for from outside: what hangs in the driver does not always heed a cancellation.
        await asyncio.wait({self._asking}, timeout=_WAIT_S)
        if self._asking.done():
            asked, self._asking = self._asking, None
            await self._hear(asked)
        self._settle()

    def tick(self, now_s: float) -> None:
        """Take back what has ended."""
        if now_s >= self._next_end_s:
            self._stand([each for each in self._standing if each[1] > now_s])

    def standing(self) -> list[Mode]:
        """Return the modes with what is left of each now, those that are only asked for too."""
        now_s = self._clock.monotonic_s()
        return [
            msgspec.structs.replace(mode, left_s=round(ends_s - now_s, 1))
            for mode, ends_s in self._standing
            if ends_s > now_s
        ]

    async def _hear(self, asked: asyncio.Task[list[Mode]]) -> None:
        try:
            known = asked.result()
        except (Unavailable, asyncio.CancelledError) as exc:
            if not self._is_away:
                _log.warning("modes can not be read; the known ones stand: %s", exc)
            self._is_away = True
            return
        self._known, self._known_at_s, self._is_away = known, self._asked_at_s, False
        try:
            await self._local.bring_in()
        except Unavailable:
            _log.warning("what was said on this machine waits for the ledger")

    def _settle(self) -> None:
        now_s = self._clock.monotonic_s()
        since_s = now_s - self._known_at_s
        known = [
            msgspec.structs.replace(mode, left_s=mode.left_s - since_s) for mode in self._known
        ]
        laid = self._local.over([mode for mode in known if mode.left_s > 0])
        self._stand([(mode, now_s + mode.left_s) for mode in laid])

    def _stand(self, standing: Sequence[tuple[Mode, float]]) -> None:
        self._standing = standing
        self._next_end_s = min((ends_s for _, ends_s in standing), default=float("inf"))
        words = modes.words(mode for mode, _ in standing)
        if words == self.words:
            return
        for name in {**self.words, **words}:
            word = words.get(name)
            _log.warning("operators: %s is %s", name, f"to {word}" if word else "left to the load")
            for each in modes.WORDS:
                metrics.FORCED.labels(name, each).set(each == word)
        self.words = words


def _heard(asking: asyncio.Task[list[Mode]]) -> None:
    # The process may end before anybody asks; asyncio must not complain about that.
    if not asking.cancelled():
        asking.exception()
