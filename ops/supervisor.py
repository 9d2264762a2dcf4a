"""`serve --processes N`: gateway processes that share one port, and their supervisor.

The parent serves nothing. It reserves the port, starts the children, restarts one that dies, and
forwards SIGTERM and SIGHUP; the kernel spreads connections over the children's own sockets
(SO_REUSEPORT).
"""

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gateway.runtime import addresses, hangup, shared_metrics
from gateway.runtime.hangup import Hangups
from gateway.runtime.settings import ProcessRole, SettingsError
from ops.embedded.processes import death_signal_hook
from ops.harness import command_line, environment
from ops.up.restarts import DEATHS_MAX, WINDOW_S, Deaths

_log = logging.getLogger(__name__)

#: A child that lived shorter died of something that a restart alone does not fix.
_QUICK_S = 5.0
#: Seconds before the restart of a child that lived longer.
_PAUSE_S = 0.2
#: Seconds beyond ``drain_s`` that children have to close their connections and end.
_EXIT_MARGIN_S = 5.0
_POLL_INTERVAL_S = 0.05
#: A child exits with this when its settings are invalid: every other would too.
_EXIT_WRONG_SETTING = 2
#: Seconds before the restart of one that exits with it while others, which began before, go on.
_WRONG_SETTING_PAUSE_S = 5.0
_METRICS_PREFIX = "tidegate-metrics-"


def run(
    *, host: str, port: int, role: ProcessRole, count: int, drain_s: float, hangups: Hangups
) -> int:
    """Run ``count`` gateways on one port until SIGTERM or SIGINT; return the exit status.

    0: all drained. 1: one had to be killed, or kept dying. 2: the settings are invalid.
    No child is left when this returns, nor, on Linux, when this process is killed.
    Raises ``SettingsError`` when it cannot listen on the port.
    """
    with _reserve_port(host, port) as holder, _metrics_directory() as metrics:
        bound_port = holder.getsockname()[1]
        arguments = [
            "serve", f"--host={host}", f"--port={bound_port}", f"--role={role}", "--processes=1",
            "--reuse-port",
        ]  # fmt: skip
        supervisor = Supervisor(
            argv=command_line.tidegate(*arguments),
            count=count,
            drain_s=drain_s,
            metrics=metrics,
            hangups=hangups,
        )
        _log.info("supervising", extra={"host": host, "port": bound_port, "processes": count})
        return supervisor.run()


class Supervisor:
    """Keeps ``count`` children that run ``argv`` alive. Use it from the main thread."""

    def __init__(
        self,
        *,
        argv: Sequence[str],
        count: int,
        drain_s: float,
        metrics: Path,
        hangups: Hangups,
    ) -> None:
        self._argv = list(argv)
        self._slots = [_Slot() for _ in range(count)]
        self._drain_s = drain_s
        self._metrics = metrics
        self._hangups = hangups
        self._environment = {**environment.inherited(), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        self._is_stopping = False

    def run(self) -> int:
        """Start the children and restart those that die; see ``run`` of this module."""
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._on_signal) for number in signals}
        try:
            exit_status = self._watch()
        finally:
            # Also when the above raises: no child outlives this process.
            are_drained = self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
        return exit_status or (0 if are_drained else 1)

    def _watch(self) -> int:
        while not self._is_stopping:
            now_s = time.monotonic()
            for slot in self._slots:
                if slot.process is None and slot.due_s <= now_s:
                    self._start(slot, now_s)
                elif slot.process is not None and slot.process.poll() is not None:
                    exit_status = self._note_death(slot, slot.process, now_s)
                    if exit_status:
                        return exit_status
            meaning = self._hangups.take(now_s)
            if meaning == "end":
                _log.warning("the terminal hung up")
                return 0
            if meaning == "reload":
                self._forward_reload()
            time.sleep(_POLL_INTERVAL_S)
        return 0

    def _forward_reload(self) -> None:
        """Have every child reload; one that starts just now does so when it has started."""
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.send_signal(signal.SIGHUP)
        pids = [process.pid for process in running]
        _log.info("reload passed on", extra={"pid": os.getpid(), "to": pids})

    def _start(self, slot: "_Slot", now_s: float) -> None:
        slot.started_s = now_s
        with hangup.held_back():
            slot.process = subprocess.Popen(
                self._argv,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches the parent only, which then stops the children in order.
                start_new_session=True,
                preexec_fn=death_signal_hook(signal.SIGTERM),  # noqa: PLW1509  # one thread here, and two system calls
            )

    def _note_death(
        self, slot: "_Slot", process: subprocess.Popen[bytes], now_s: float
    ) -> int | None:
        status = process.returncode
        self._forget(slot, process)
        if status == _EXIT_WRONG_SETTING:
            if not self._has_settled(now_s):
                return _EXIT_WRONG_SETTING
            # The others run on the settings before: those on disk became wrong since.
            slot.due_s = now_s + _WRONG_SETTING_PAUSE_S
            _log.error(
                "gateway not restarted: its settings are wrong now; the others go on",
                extra={"pid": process.pid, "restart_in_s": _WRONG_SETTING_PAUSE_S},
            )
            return None
        lived_s = now_s - slot.started_s
        delay_s: float | None = _PAUSE_S
        if lived_s < _QUICK_S:
            delay_s = slot.deaths.record(now_s)
        died = {"pid": process.pid, "status": status, "lived_s": round(lived_s, 1)}
        if delay_s is None:
            reason = f"{DEATHS_MAX} quick deaths within {WINDOW_S:.0f} s: stopping everything"
            _log.error("gateway keeps dying", extra={**died, "reason": reason})
            return 1
        slot.due_s = now_s + delay_s
        _log.warning("gateway died", extra={**died, "restart_in_s": round(delay_s, 1)})
        return None

    def _has_settled(self, now_s: float) -> bool:
        """Return whether a child runs that has long read its settings."""
        return any(
            slot.process is not None and now_s - slot.started_s >= _QUICK_S for slot in self._slots
        )

    def _stop(self) -> bool:
        deadline_s = time.monotonic() + self._drain_s + _EXIT_MARGIN_S
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        while any(process.poll() is None for process in running):
            if time.monotonic() > deadline_s:
                break
            time.sleep(_POLL_INTERVAL_S)
        late = [process for process in running if process.poll() is None]
        for process in late:
            _log.error("gateway did not drain in time: killed", extra={"pid": process.pid})
            process.kill()
            process.wait()
        # Ended by the signal itself: it was still starting, and had accepted nothing.
        return all(process.returncode in (0, -signal.SIGTERM) for process in running)

    def _forget(self, slot: "_Slot", process: subprocess.Popen[bytes]) -> None:
        # Its gauges (connections, events waiting) have ended with it; what it counted stays valid.
        shared_metrics.take_over(self._metrics, process.pid)
        slot.process = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True


class _Slot:
    """The slot of one child: its process, None between two, and the recent deaths."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self.due_s = 0.0
        self.deaths = Deaths()


def _reserve_port(host: str, port: int) -> socket.socket:
    """Return a socket that reserves the port also while no child runs. The caller closes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        # SO_REUSEPORT would also share the port with another program: check first that it is free.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Bound and never listening: the kernel hands it no connection.
        holder.bind((host, port))
    except OSError as exc:
        holder.close()
        raise SettingsError(
            addresses.not_listening(
                host,
                port,
                exc,
                host_setting="--host or TIDEGATE_HOST",
                port_setting="--port or TIDEGATE_PORT",
            )
        ) from exc
    return holder


@contextmanager
def _metrics_directory() -> Iterator[Path]:
    """Yield an empty directory, removed at the end or, after a kill, by the next start."""
    for old in Path(tempfile.gettempdir()).glob(f"{_METRICS_PREFIX}*"):
        with contextlib.suppress(OSError):
            with (old / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
    made = Path(tempfile.mkdtemp(prefix="tidegate-new-"))
    with (made / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It gets its name when it is locked, or another start would take it for a left-over.
        directory = made.rename(made.with_name(_METRICS_PREFIX + made.name.rpartition("-")[2]))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
