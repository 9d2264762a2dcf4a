"""The configuration of a worker: what a reload can change of it: channels, rules and targets."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from gateway.domain.channels import Policies
from gateway.domain.screening import Screening
from gateway.intake import channel_policies
from gateway.intake import screening as configured_rules
from gateway.runtime import reload_plan
from gateway.runtime.live import Live
from gateway.runtime.reload_plan import Configuration, Plan
from gateway.runtime.settings import Settings
from gateway.stores.postgres.outbox_signal import OutboxSignal
from workers import targets
from workers.targets import BuildSender, OpenTarget, Targets


class ReadConfiguration(Struct, frozen=True):
    """A configuration that was read, and is not yet in force; its senders have opened nothing."""

    settings: Settings
    targets: Mapping[str, OpenTarget]
    rules: Screening

    def __repr__(self) -> str:
        """Return no values: a representation may end up in logs."""
        return "ReadConfiguration()"


class WorkerConfiguration:
    """Replaces channels and rules of a running worker, which drains orders, and the targets.

    It reads no secret of an account and no limit, and names neither as changed.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        policies: Live[Policies],
        targets: Targets,
        signal: OutboxSignal,
        make_sender: BuildSender,
        rules: Live[Screening],
        load: Callable[[], Settings],
    ) -> None:
        """``load``: reads the settings as at the start; raises ``SettingsError``."""
        self._settings = settings
        self._policies = policies
        self._targets = targets
        self._signal = signal
        self._make_sender = make_sender
        self._rules = rules
        self._load = load

    def read(self) -> ReadConfiguration:
        """Read settings, secrets of targets and files of rules. Raises ``SettingsError``."""
        loaded = self._load()
        return ReadConfiguration(
            loaded,
            targets.build(loaded.targets, self._make_sender, before=self._targets.now),
            configured_rules.load(loaded),
        )

    def apply(self, read: ReadConfiguration) -> Plan:
        """Put all of it into force; return what changed. Raises ``SettingsError``."""
        settings = reload_plan.in_force(self._settings, read.settings)
        plan = reload_plan.plan(
            Configuration(
                self._settings,
                targets=targets.configured(self._targets.now),
                rule_files=self._rules.now.files,
            ),
            Configuration(
                read.settings,
                targets=targets.configured(read.targets),
                rule_files=read.rules.files,
            ),
            limits=frozenset(),
        )
        self._settings = settings
        self._rules.now = read.rules
        self._policies.now = channel_policies.of(settings)
        self._targets.use(read.targets)
        self._signal.is_on = bool(read.targets)
        return plan
