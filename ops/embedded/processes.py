"""Starting, watching and stopping processes so that none of them outlives this one.

Every process gets a session of its own (Ctrl-C in the terminal reaches only us, so we choose the
order in which things end) and a parent-death signal (a `kill -9` of us ends it too, on Linux).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from ops.embedded import errors, leftovers
from ops.embedded.identity import Account

LOG_BYTES_MAX = 20 * 1024 * 1024
_POLL_INTERVAL_S = 0.01
_KILL_PATIENCE_S = 5.0
_PR_SET_PDEATHSIG = 1
# Loaded here: after a fork only the bare call is safe.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class HelperFailed(Exception):
    """A helper program ended with an error; the message is the end of its output."""


class Service:
    """One long-lived process and its log."""

    def __init__(self, *, name: str, process: subprocess.Popen[bytes], log: Path, log_start: int):
        self.name = name
        self.log = log
        self.started_s = time.monotonic()
        self._process = process
        self._log_start = log_start

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself, for what a service cannot do."""
        return self._process

    @property
    def pid(self) -> int:
        """Its process id, also after its end."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative when a signal ended it. Reaps it as soon as it is dead."""
        return self._process.poll()

    def send(self, what: signal.Signals) -> None:
        """Sends the signal; does nothing when the process has ended."""
        self._process.send_signal(what)

    def stop(self, how: signal.Signals, *, patience_s: float) -> bool:
        """Sends it the signal `how`, waits `patience_s`, and kills it if it has not ended.

        It has ended afterwards. False when it had to be killed.
        """
        self.send(how)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """Ends it and the processes it started, at once, as a crash of the machine would."""
        if self.exit_status is not None:
            return
        children = _children(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()  # without a session of its own it leads no process group
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_PATIENCE_S)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines it has written since it was started."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, size - 16_384))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


class Runner:
    """Starts processes as one account, with one environment, logs in one place.

    `pids` is the directory where the running ones are recorded, for `leftovers` after a crash.
    `abandon_check` is called in every wait and may raise to abandon the wait.
    """

    def __init__(
        self,
        *,
        logs: Path,
        pids: Path,
        environment: Mapping[str, str],
        account: Account | None = None,
        cwd: str = "/",
        abandon_check: Callable[[], None] = lambda: None,
    ) -> None:
        self._logs = logs
        self._pids = pids
        self._environment = dict(environment)
        self._account = account
        self._cwd = cwd
        self.abandon_check = abandon_check

    def start(self, name: str, argv: list[str], *, death_signal: signal.Signals) -> Service:
        """The process runs and logs to `<name>.log`. Raises errors.CannotStart if it cannot."""
        log = self._logs / f"{name}.log"
        # A log is rotated at a start, with one old file.
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        service = start(
            name,
            argv,
            log=log,
            environment=self._environment,
            death_signal=death_signal,
            account=self._account,
            cwd=self._cwd,
        )
        (self._pids / name).write_text(f"{service.pid} {leftovers.birth_of(service.pid)}\n")
        return service

    def run(
        self,
        argv: list[str],
        *,
        stdin: str = "",
        variables: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> str:
        """What the program printed; see `run` of this module."""
        return run(
            argv,
            environment={**self._environment, **(variables or {})},
            stdin=stdin,
            timeout_s=timeout_s,
            account=self._account,
            cwd=self._cwd,
            abandon_check=self.abandon_check,
        )

    def wait_ready(
        self, service: Service, is_ready: Callable[[], bool], *, timeout_s: float
    ) -> None:
        """Returns when the service is ready. Raises errors.NotReady when it ends or takes too long.

        It may still be running when this raises: the caller stops it.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_ready():
            if service.exit_status is not None:
                raise errors.NotReady(
                    f"The server {service.name} ended while starting (status "
                    f"{service.exit_status}). The end of {service.log}:\n{service.log_tail()}"
                )
            if time.monotonic() > deadline_s:
                raise errors.NotReady(
                    f"The server {service.name} was not ready after {timeout_s:.0f} s. The end of "
                    f"{service.log}:\n{service.log_tail()}"
                )
            self.pause()

    def pause(self, seconds: float = _POLL_INTERVAL_S) -> None:
        """Calls `abandon_check` and sleeps: the body of a waiting loop."""
        self.abandon_check()
        time.sleep(seconds)


def start(
    name: str,
    argv: list[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    death_signal: signal.Signals | None,
    account: Account | None = None,
    cwd: str | None = None,
    own_session: bool = True,
) -> Service:
    """The process runs and appends its output to the log. Raises errors.CannotStart if it cannot.

    With a death signal, which it gets when we end, call this from the main thread.
    """
    if death_signal is not None and threading.current_thread() is not threading.main_thread():
        # The parent-death signal fires when the *thread* that spawned ends.
        raise RuntimeError("start services from the main thread: they end with their thread")
    with log.open("ab") as output:
        log_start = output.tell()
        process = _spawn(
            argv,
            environment=environment,
            death_signal=death_signal,
            account=account,
            cwd=cwd,
            own_session=own_session,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return Service(name=name, process=process, log=log, log_start=log_start)


def run(
    argv: list[str],
    *,
    environment: Mapping[str, str],
    stdin: str = "",
    timeout_s: float = 60.0,
    death_signal: signal.Signals | None = signal.SIGTERM,
    account: Account | None = None,
    cwd: str | None = None,
    own_session: bool = True,
    abandon_check: Callable[[], None] = lambda: None,
) -> str:
    """What the program wrote to its standard output, once it has ended with status 0.

    Raises HelperFailed otherwise, errors.CannotStart if it cannot be run at all.
    """
    process = _spawn(
        argv,
        environment=environment,
        death_signal=death_signal,
        account=account,
        cwd=cwd,
        own_session=own_session,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + timeout_s
    to_send: bytes | None = stdin.encode()
    try:
        while True:
            try:
                out, err = process.communicate(to_send, timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                to_send = None  # the next call goes on with what is left of it
                abandon_check()
                if time.monotonic() > deadline_s:
                    raise HelperFailed(f"timed out after {timeout_s:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(_KILL_PATIENCE_S)
    if process.returncode != 0:
        output = (err or out).decode("utf-8", "replace").strip().splitlines()[-8:]
        raise HelperFailed("\n".join(output) or f"exit status {process.returncode}")
    return out.decode("utf-8", "replace")


def _spawn(
    argv: list[str],
    *,
    environment: Mapping[str, str],
    death_signal: signal.Signals | None,
    account: Account | None,
    cwd: str | None,
    own_session: bool,
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=environment,
            start_new_session=own_session,
            # Runs after the change of user, which would clear the death signal. It calls
            # nothing but prctl and getppid, so no lock that a thread holds can stop it.
            preexec_fn=death_signal_hook(death_signal),  # noqa: PLW1509
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )
    except (OSError, subprocess.SubprocessError) as problem:
        raise errors.CannotStart(f"{argv[0]} cannot be started: {problem}.") from None


def die_with_parent(death_signal: signal.Signals) -> None:
    """From now on this process gets the signal when its parent ends. Does nothing off Linux."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def death_signal_hook(death_signal: signal.Signals | None) -> Callable[[], None] | None:
    """The `preexec_fn` for a child that shall get this signal when we end. None off Linux."""
    if _LIBC is None or death_signal is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        # The parent may have died before the call above: then no signal would ever come.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def _children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
