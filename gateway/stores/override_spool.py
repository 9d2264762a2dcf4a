"""The override spool: a directory on this machine for changes made while the ledger is unavailable.

One file a change, complete or absent, synced before it counts. Files outlive the processes, and are
flushed to the ledger, each with its audit row, when it is back. The owner of a file is its actor.
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
from msgspec import Struct, field

from gateway.domain import overrides
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Override

_log = logging.getLogger(__name__)

_SUFFIX = ".change"
#: A file that holds no valid change is renamed to this, so that it does not block the others.
_BAD = ".bad"
_KNOWN = "known"
_FILE_BYTES_MAX = 4096
_KNOWN_BYTES_MAX = 256 * 1024
_FILES_MAX = 100


class _Known(Struct, frozen=True):
    """An override of the ledger, with its time by the wall clock. Stored as JSON."""

    override: Override = field(name="mode")
    begins_at: datetime
    ends_at: datetime

    def at(self, now: datetime) -> Override:
        """Return the override with the seconds left, and never more than there were."""
        left_s = (self.ends_at - now).total_seconds()
        starts_s = max(0.0, (self.begins_at - now).total_seconds())
        return msgspec.structs.replace(
            self.override, left_s=min(left_s, self.override.left_s), starts_s=starts_s
        )


class OverrideSpool:
    """The changes in one directory, and what the ledger answered last."""

    def __init__(self, *, directory: Path) -> None:
        self.directory = directory

    def put(self, change: OverrideChange) -> None:
        """Store a change; it is on the disk afterwards. Raises ``OSError``."""
        name = f"{change.at.timestamp():.6f}-{secrets.token_hex(4)}{_SUFFIX}"
        self._write(name, msgspec.json.encode(change))

    def every(self) -> list[OverrideChange]:
        """Return the changes, the oldest first, 100 at most; invalid files are set aside."""
        return [change for change, _ in self._each()]

    @contextmanager
    def lent(self) -> Iterator[Iterator[tuple[OverrideChange, Path]]]:
        """Lend the changes and their files to one process at a time, to flush them.

        Each file is to be unlinked once its change is in the ledger. Lends none while another
        process has them.
        """
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context((self.directory / ".lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield iter(())
                return
            yield self._each()

    def store_known(self, known: list[Override], now: datetime) -> None:
        """Store the ledger's overrides for a start while it is unavailable. Raises ``OSError``."""
        stored = [
            _Known(
                each, now + timedelta(seconds=each.starts_s), now + timedelta(seconds=each.left_s)
            )
            for each in known
        ]
        self._write(_KNOWN, msgspec.json.encode(stored))

    def stored_known(self, now: datetime) -> list[Override]:
        """Return what was stored and has not ended; nothing where there is nothing valid."""
        try:
            with (self.directory / _KNOWN).open("rb") as file:
                # Other users may put changes of their own, not what the ledger answered.
                if os.fstat(file.fileno()).st_uid != os.getuid():
                    return []
                stored = msgspec.json.decode(file.read(_KNOWN_BYTES_MAX), type=list[_Known])
            found = [each.at(now) for each in stored]
        except (OSError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return []
        return [each for each in found if each.left_s > 0 and each.target in overrides.targets()]

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

    def _each(self) -> Iterator[tuple[OverrideChange, Path]]:
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    change = _decoded(file.fileno())
            except OSError:
                continue
            if change is not None:
                yield change, path
                continue
            _log.warning("set aside a file that holds no valid change", extra={"file": path.name})
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(_BAD))

    def _paths(self) -> list[Path]:
        try:
            return sorted(self.directory.glob(f"*{_SUFFIX}"))[:_FILES_MAX]
        except OSError:
            return []


def _decoded(descriptor: int) -> OverrideChange | None:
    """Decode a change that one person may make alone; None for anything else."""
    try:
        change = msgspec.json.decode(os.read(descriptor, _FILE_BYTES_MAX), type=OverrideChange)
        at = change.at.astimezone(UTC)
        request = overrides.OverrideRequest(
            change.target, change.action or "admit", change.for_s, change.reason, "-"
        )
        overrides.check(request)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        # Whatever the file holds: it must not end the process that reads it.
        return None
    if change.at.tzinfo is None or overrides.needs_approval(request.target, request.action):
        return None
    return msgspec.structs.replace(change, actor=owner(os.fstat(descriptor).st_uid), at=at)


def owner(uid: int) -> str:
    """Return the name of an operating-system user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # usual in containers
        return f"uid {uid}"
