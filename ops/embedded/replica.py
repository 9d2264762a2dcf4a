"""The streaming hot standby: a copy of the primary that follows it and answers reads.

It can always be made again from the primary. So whatever prevents replication (half made,
promoted, its slot lost, another primary's copy) has one remedy: remove it and copy it again.
"""

import time

from ops.embedded import errors, identity, processes
from ops.embedded.postgres import REPLICATOR, Server, Site

SLOT = "tidegate_replica"
_COPY_TIMEOUT_S = 900.0
#: Longer than a busy start takes: what cannot follow is found out by its slot.
_FOLLOW_TIMEOUT_S = 30.0
_LOOK_INTERVAL_S = 0.05

# S608: the name put into them is a constant of ours.
_SLOT_STATE = f"""
SELECT CASE WHEN wal_status = 'lost' THEN 'lost' WHEN active THEN 'active' ELSE 'idle' END
FROM pg_replication_slots WHERE slot_name = '{SLOT}';
"""  # noqa: S608
_DROP_SLOT = f"""
SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots
WHERE slot_name = '{SLOT}' AND active;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{SLOT}';
"""  # noqa: S608


class Replica(Server):
    """Reads only. Its primary must be running whenever it is started."""

    def __init__(self, *, name: str, label: str, site: Site, port: int, primary_port: int) -> None:
        super().__init__(name=name, label=label, site=site, port=port)
        self._primary_port = primary_port

    def launch(self) -> None:
        """Where it is a copy already it is starting; `start` waits for it and checks it.

        The primary need not be ready: it is asked again until it is.
        """
        # Without its primary it would be the copy of some other one.
        if self._site.state.is_made("primary") and self._unusable() is None:
            self._begin(**self._following())

    def start(self) -> None:
        """It accepts connections and follows the primary. Raises errors.CannotStart."""
        try:
            copy_reason = self._copy_reason()
            for _ in range(2):
                if copy_reason is not None:
                    self.stop()  # it may have been launched
                    self._copy_primary(copy_reason)
                self._run(**self._following())
                if self._follows():
                    return
                self.stop()
                copy_reason = "could not follow the primary"
        except processes.HelperFailed as problem:
            raise errors.CannotStart(f"{self.label} could not be started: {problem}") from None
        tail = self.service.log_tail() if self.service else ""
        raise errors.NotReady(f"{self.label} cannot follow the primary. Its log ends:\n{tail}")

    def lost_its_slot(self) -> bool:
        """Whether the primary has dropped WAL the replica needs. False when it cannot tell."""
        try:
            return self._slot_state(timeout_s=5.0) in {"lost", ""}
        except processes.HelperFailed:
            return False

    def _following(self) -> dict[str, str]:
        """The settings that make it follow the primary."""
        conninfo = self._site.connection(
            port=self._primary_port, user=REPLICATOR, application_name=self.name
        )
        return {"primary_conninfo": conninfo, "primary_slot_name": SLOT}

    def _copy_reason(self) -> str | None:
        """Why it must be copied: None when it can start as it is, "" when it does not exist yet."""
        unusable = self._unusable()
        if unusable is None and self._slot_state() in {"lost", ""}:
            return "was stopped for too long: the primary has dropped the WAL it needs"
        return unusable

    def _unusable(self) -> str | None:
        """The same as far as its directory says."""
        if not self._site.state.is_made(self.name):
            half_made = self._directory.exists()
            return "was left half made by an interrupted start" if half_made else ""
        if not (self._directory / "standby.signal").exists():
            return "was promoted and is no longer a copy"
        return None

    def _copy_primary(self, why: str) -> None:
        site = self._site
        if why:
            site.reporter.say(f"{self._directory} {why}: copying it again from the primary.")
        site.state.remove(self.name)
        site.state.fresh_directory(self.name, site.account)
        site.sql(self._primary_port, _DROP_SLOT)
        source = site.connection(port=self._primary_port, user=REPLICATOR)
        argv = [site.program("pg_basebackup"), "-D", str(self._directory), "-d", source, "-w"]
        argv += ["-X", "stream", "-C", "-S", SLOT, "--checkpoint=fast"]
        site.runner.run(argv if site.fsync else [*argv, "--no-sync"], timeout_s=_COPY_TIMEOUT_S)
        # Not pg_basebackup -R: it would write the password in clear and the port for good.
        signal_file = self._directory / "standby.signal"
        signal_file.touch(mode=0o600)
        identity.hand_over(signal_file, site.account)
        site.state.mark_made(self.name)

    def _follows(self) -> bool:
        deadline_s = time.monotonic() + _FOLLOW_TIMEOUT_S
        while (state := self._slot_state()) != "active":
            if state in {"lost", ""} or time.monotonic() > deadline_s:
                return False
            # Each look is a process of its own.
            self._site.runner.pause(_LOOK_INTERVAL_S)
        return True

    def _slot_state(self, *, timeout_s: float = 30.0) -> str:
        return self._site.sql(self._primary_port, _SLOT_STATE, timeout_s=timeout_s)
