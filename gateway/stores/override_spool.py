"""The drawer: a directory on this machine for what operators say while the ledger is away.

One file a change, complete or not there, synced before it counts. It outlives the processes, and
goes into the ledger, with its audit row, when that is back. Whose file it is says who wrote it.
"""

import contextlib
import fcntl
import logging
import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.domain import overrides
from gateway.domain.overrides import Action, Override

_log = logging.getLogger(__name__)

_SUFFIX = ".change"
#: What is no change is put aside under this name, so that it stands in nobody's way.
_BAD = ".bad"
_KNOWN = "known"
_FILE_BYTES_MAX = 4096
_KNOWN_BYTES_MAX = 256 * 1024
_FILES_MAX = 100


class SpooledChange(Struct, frozen=True):
    """What was said: ``word`` None leaves the target to the load again."""

    target: str
    word: Action | None
    for_s: float
    reason: str
    at: datetime
    #: The owner of the file; what a file says of this is not believed.
    actor: str = ""

    def mode(self, now: datetime) -> Override | None:
        """Return the mode that it makes, with what is left of it."""
        if self.word is None:
            return None
        left_s = self.for_s - max(0.0, (now - self.at).total_seconds())
        return Override(self.target, self.word, self.reason, self.actor, min(left_s, self.for_s))


def overlaid(known: list[Override], changes: list[SpooledChange], now: datetime) -> list[Override]:
    """Return the modes of the ledger with the later changes of this machine laid over them."""
    by_target = {(mode.target, mode.is_asked, _step(mode)): mode for mode in known}
    for change in sorted(changes, key=lambda change: change.at):
        mode = change.mode(now)
        by_target.pop((change.target, False, None), None)
        if mode is not None and mode.left_s > 0:
            by_target[change.target, False, None] = mode
    return list(by_target.values())


def _step(mode: Override) -> tuple[str, float] | None:
    return None if mode.plan is None else (mode.plan, mode.starts_s)


class _Known(Struct, frozen=True):
    """A mode of the ledger, with its time by the clock on the wall."""

    mode: Override
    begins_at: datetime
    ends_at: datetime

    def at(self, now: datetime) -> Override:
        """Return the mode with what is left of it, and never more than there was."""
        left_s = (self.ends_at - now).total_seconds()
        starts_s = max(0.0, (self.begins_at - now).total_seconds())
        return msgspec.structs.replace(
            self.mode, left_s=min(left_s, self.mode.left_s), starts_s=starts_s
        )


class OverrideSpool:
    """The changes in one directory, and what the ledger said last."""

    def __init__(self, *, directory: Path) -> None:
        self.directory = directory

    def put(self, change: SpooledChange) -> None:
        """Keep a change; it is on the disk afterwards. Raises ``OSError``."""
        name = f"{change.at.timestamp():.6f}-{secrets.token_hex(4)}{_SUFFIX}"
        self._write(name, msgspec.json.encode(change))

    def keep_known(self, known: list[Override], now: datetime) -> None:
        """Keep what the ledger said, for a process that starts while it is away. As ``put``."""
        kept = [
            _Known(
                mode, now + timedelta(seconds=mode.starts_s), now + timedelta(seconds=mode.left_s)
            )
            for mode in known
        ]
        self._write(_KNOWN, msgspec.json.encode(kept))

    def known(self, now: datetime) -> list[Override]:
        """Return what the ledger said last and has not ended; nothing where nobody kept it."""
        try:
            with (self.directory / _KNOWN).open("rb") as file:
                # Others may say what they like in files of their own, not what the ledger said.
                if os.fstat(file.fileno()).st_uid != os.getuid():
                    return []
                kept = msgspec.json.decode(file.read(_KNOWN_BYTES_MAX), type=list[_Known])
            found = [each.at(now) for each in kept]
        except (OSError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return []
        return [mode for mode in found if mode.left_s > 0 and mode.target in overrides.targets()]

    def _write(self, name: str, content: bytes) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self.directory / f".{name}-{secrets.token_hex(4)}"
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.directory / name)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def every(self) -> list[SpooledChange]:
        """Return all changes, the oldest first; a file that is none is put aside."""
        return [change for change, _ in self._each()]

    @contextmanager
    def taking(self) -> Iterator[Iterator[tuple[SpooledChange, Path]]]:
        """Lend the changes to whoever brings them into the ledger, one process at a time.

        Each is to be unlinked when it is there. Lends none while another process has them.
        """
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context((self.directory / ".lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield iter(())
                return
            yield self._each()

    def _each(self) -> Iterator[tuple[SpooledChange, Path]]:
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    change = _read(file.fileno())
            except OSError:
                continue
            if change is not None:
                yield change, path
                continue
            _log.warning("put aside what is no change", extra={"file": path.name})
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(_BAD))

    def _paths(self) -> list[Path]:
        try:
            return sorted(self.directory.glob(f"*{_SUFFIX}"))[:_FILES_MAX]
        except OSError:
            return []


def _read(descriptor: int) -> SpooledChange | None:
    """Decode a change that could have been ordered; None for anything else."""
    try:
        change = msgspec.json.decode(os.read(descriptor, _FILE_BYTES_MAX), type=SpooledChange)
        at = change.at.astimezone(UTC)
        order = overrides.OverrideRequest(
            change.target, change.word or "admit", change.for_s, change.reason, "-"
        )
        overrides.check(order)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        # Whatever is in there: it must not end the process that looks.
        return None
    if change.at.tzinfo is None or overrides.needs_second(order.target, order.word):
        return None
    return msgspec.structs.replace(change, actor=owner(os.fstat(descriptor).st_uid), at=at)


def owner(uid: int) -> str:
    """Return the name of an operating-system user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # usual in containers
        return f"uid {uid}"
