"""The configuration of a worker: of all that a reload can change it uses the channels."""

from collections.abc import Callable

from gateway.domain.channels import Policies
from gateway.intake import channel_policies
from gateway.runtime import reload_plan
from gateway.runtime.live import Live
from gateway.runtime.reload_plan import Configuration, Plan
from gateway.runtime.settings import Settings


class WorkerConfiguration:
    """Replaces the channels of a running worker: it drains orders of no others.

    It reads no secret of an account and no limit, and names neither as changed.
    """

    def __init__(
        self, *, settings: Settings, policies: Live[Policies], load: Callable[[], Settings]
    ) -> None:
        """``load``: reads the settings as at the start; raises ``SettingsError``."""
        self._settings = settings
        self._policies = policies
        self._load = load

    def read(self) -> Settings:
        """Read the settings. Raises ``SettingsError``."""
        return self._load()

    def apply(self, read: Settings) -> Plan:
        """Put the channels into force; return what changed. Raises ``SettingsError``."""
        settings = reload_plan.in_force(self._settings, read)
        plan = reload_plan.plan(
            Configuration(self._settings), Configuration(read), limits=frozenset()
        )
        self._settings = settings
        self._policies.now = channel_policies.of(settings)
        return plan
