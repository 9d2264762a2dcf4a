"""The state directory: one lock, the secrets, the ports, the logs, and where the data is.

    lock              held (flock) while a supervisor uses the directory; its pid
    state.json        where the data is
    passwords.json    generated once
    ports.json        chosen once among free ones; delete it to have new ones chosen
    pids/             the processes that run, for the start after a crash
    log/              one file per process
    data/             the servers' own directories, and *.made: a marker for each finished one of
                      PostgreSQL's

The directory is private to the user who ran the command (0700). For root it is 0711, because the
servers run as another user who has to pass through; everything in it stays private (0600, 0700).
"""

import contextlib
import fcntl
import json
import os
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ops.embedded import errors, identity, leftovers
from ops.embedded.identity import Account

FREE_BYTES_MIN = 500 * 1024 * 1024
SYSTEM_DATA_ROOT = Path("/var/lib/tidegate")
_LAYOUT = "1"
_TEMPORARY_PREFIX = "tidegate-"
# Below the range from which the kernel takes the ports of outgoing connections (32768 and up on
# Linux): a saved port is not taken by a stray connection between two runs.
_PORTS = range(20_000, 32_000)


class State:
    """An open, locked state directory."""

    def __init__(self, *, path: Path, lock_fds: list[int], temporary: bool) -> None:
        self.path = path
        self.temporary = temporary
        self.logs = path / "log"
        self.pids = path / "pids"
        self.data = path / "data"
        self._lock_fds = lock_fds
        for directory in (self.logs, self.pids):
            directory.mkdir(mode=0o700, exist_ok=True)

    def place_data(self, account: Account | None) -> str | None:
        """Decides, once for this directory, where the servers' data is; `data` exists then.

        Returns a sentence for the user when it is not inside the state directory.
        Raises errors.CannotStart when the account can reach no possible directory.
        """
        recorded = read_json(self.path / "state.json").get("data")
        # Inside the state directory it is recorded as relative: the directory may be moved.
        self.data = self.path / recorded if recorded else self._choose_data(account)
        with _explained(self.data):
            self.data.mkdir(mode=0o711, parents=True, exist_ok=True)
            self.data.chmod(0o700 if account is None else 0o711)
        if not identity.can_enter(account, self.data):
            raise errors.CannotStart(
                f"The servers run as {account.name if account else 'you'}, who cannot reach "
                f"{self.data}. Open the directories above it (chmod o+x), or use a state "
                "directory elsewhere."
            )
        if not recorded:
            where = "data" if self.data.parent == self.path else str(self.data)
            write_json(self.path / "state.json", {"layout": _LAYOUT, "data": where})
        if self.is_made("primary") and not (self.path / "passwords.json").exists():
            raise errors.CannotStart(
                f"{self.path}/passwords.json is missing, and the data in {self.data} cannot be "
                "opened without it. Restore it, or remove both directories to start over."
            )
        for directory in self.data.iterdir():
            # Another account than last time (TIDEGATE_RUN_AS) takes over what is there.
            if directory.is_dir() and directory.name != "runtime":
                identity.hand_over_tree(directory, account)
        if self.data.parent == self.path:
            return None
        # A copy of the state directory would point to the same data: one user at a time.
        self._lock_fds.append(_lock(self.data / "lock", self.data))
        return (
            f"The servers run as {account.name if account else 'you'}, who cannot reach "
            f"{self.path}: their data is in {self.data}. Keep or remove the two together."
        )

    def password(self, of: str) -> str:
        """The password of this role: generated at the first call, stored from then on."""
        file = self.path / "passwords.json"
        known = read_json(file)
        if of not in known:
            known[of] = secrets.token_hex(24)
            write_json(file, known)
        return known[of]

    def port(self, of: str, label: str) -> int:
        """The port of this server: chosen at the first call among free ones, stored from then on.

        Raises errors.CannotStart when another process has taken it since.
        """
        file = self.path / "ports.json"
        known = read_json(file)
        if of not in known:
            known[of] = str(_choose_port(taken={int(port) for port in known.values()}))
            write_json(file, known)
        port = int(known[of])
        if not port_is_free("127.0.0.1", port):
            raise errors.CannotStart(
                f"Port {port}, which {label} of {self.path} has had since its first start, is "
                f"taken by another process (`ss -ltnp 'sport = :{port}'` shows which). Stop that "
                f"process, or delete {file} to have new ports chosen."
            )
        return port

    def is_made(self, name: str) -> bool:
        """Whether the server's data directory is complete."""
        return (self.data / f"{name}.made").exists() and (self.data / name).is_dir()

    def mark_made(self, name: str) -> None:
        """From now on the server's data directory counts as complete."""
        (self.data / f"{name}.made").write_text("finished\n")

    def remove(self, name: str) -> bool:
        """The server's data directory is removed, after its marker; whether there was one."""
        (self.data / f"{name}.made").unlink(missing_ok=True)
        directory = self.data / name
        existed = directory.exists()
        if existed:
            shutil.rmtree(directory)
        return existed

    def fresh_directory(self, name: str, account: Account | None) -> Path:
        """An empty data directory, private to the account.

        Raises errors.CannotStart if the disk is nearly full.
        """
        free = shutil.disk_usage(self.data).free
        if free < FREE_BYTES_MIN:
            raise errors.CannotStart(
                f"{self.data} has {free // 2**20} MB free; {FREE_BYTES_MIN // 2**20} MB are needed "
                "to begin. Free some space, or use a state directory on another disk."
            )
        directory = self.data / name
        with _explained(directory):
            directory.mkdir(mode=0o700)
            identity.hand_over(directory, account)
        return directory

    def close(self) -> None:
        """The lock is free; a temporary directory is removed."""
        if self.temporary:
            remove_temporary(self.path)
        for fd in self._lock_fds:
            os.close(fd)
        self._lock_fds.clear()

    def _choose_data(self, account: Account | None) -> Path:
        if account is None or identity.can_enter(account, self.path):
            return self.path / "data"
        with _explained(SYSTEM_DATA_ROOT):
            if not SYSTEM_DATA_ROOT.exists():
                SYSTEM_DATA_ROOT.mkdir()
                SYSTEM_DATA_ROOT.chmod(0o755)  # whatever the umask is
        # A new name, not one made from the path: if the state directory was removed and made again,
        # the old data needs passwords and sealing keys that are lost.
        return SYSTEM_DATA_ROOT / secrets.token_hex(6)


def open_state(path: Path) -> State:
    """The directory exists, is ours and is locked.

    Raises errors.CannotStart when another process uses it, another user owns it, or it holds other
    files.
    """
    path = path.absolute()
    with _explained(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
        if owner != os.geteuid():
            raise errors.CannotStart(
                f"{path} belongs to user {owner}, not to you (user {os.geteuid()}). Run as that "
                "user, or use another state directory."
            )
        names = {entry.name for entry in path.iterdir()}
        if names and not names & {"lock", "state.json"}:
            raise errors.CannotStart(
                f"{path} is not empty and not a state directory of Tidegate. Give a new or empty "
                "directory, so that nothing of yours is touched."
            )
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        lock_fd = _lock(path / "lock", path)
        return State(path=path, lock_fds=[lock_fd], temporary=False)


def open_temporary() -> State:
    """A locked directory of its own that `close` removes.

    Those of earlier runs that were killed are removed first.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY_PREFIX}*/state.json"):
        with contextlib.suppress(OSError, errors.CannotStart):
            if old.parent.stat().st_uid == os.geteuid():
                fd = _lock(old.parent / "lock", old.parent)
                try:
                    leftovers.settle(leftovers.left_running(old.parent / "pids"), patience_s=1.0)
                    remove_temporary(old.parent)
                finally:
                    os.close(fd)
    state = open_state(Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX)))
    state.temporary = True
    return state


def remove_temporary(path: Path) -> None:
    """The directory is removed, and its data if that was elsewhere."""
    data = read_json(path / "state.json").get("data")
    if data:
        shutil.rmtree(path / data, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now (connections in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def read_json(file: Path) -> dict[str, str]:
    """The strings stored in this file; empty when there is none.

    Raises errors.CannotStart when it cannot be read as such.
    """
    try:
        content = json.loads(file.read_text())
        return {str(key): str(value) for key, value in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as problem:
        raise errors.CannotStart(
            f"{file} cannot be read ({problem}). Restore it, or remove {file.parent} to start "
            "over (that deletes the data in it)."
        ) from None


def write_json(file: Path, content: dict[str, str]) -> None:
    """The file has this content and mode 0600; see write_private."""
    write_private(file, json.dumps(content, indent=2) + "\n")


def write_private(file: Path, text: str) -> None:
    """The file has this text and mode 0600; a crash leaves the old or the new text, never half."""
    new = file.with_name(file.name + ".new")
    with _explained(file):
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)


def _lock(file: Path, what: Path) -> int:
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise errors.CannotStart(
            f"{what} is in use by another Tidegate, process {holder}. Stop that one "
            f"(`kill {holder}`), or use another state directory."
        ) from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def _choose_port(*, taken: set[int]) -> int:
    for port in random.sample(_PORTS, k=200):
        if port not in taken and port_is_free("127.0.0.1", port):
            return port
    raise errors.CannotStart("200 ports were tried and none was free: close some programs first.")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise errors.CannotStart(
            f"{path} cannot be used: {problem.strerror or problem}. Check who owns it and whether "
            "the disk is full, or use another state directory."
        ) from None
