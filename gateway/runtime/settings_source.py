"""Where a process reads its settings from: at its start, and again by each reload."""

from collections.abc import Mapping
from pathlib import Path

from gateway.runtime import settings
from gateway.runtime.settings import ENV_PREFIX, Settings, SettingsError

_CONFIG = f"{ENV_PREFIX}CONFIG"


class SettingsSource:
    """Reads the same file again and again, with an environment that stays.

    Invariant: a file that was there once must be there, and say something, ever after. It is gone
    or empty while an editor or a deployment writes it anew; read then, it would take every account
    away.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._has_loaded = False

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, which names the file once one was read."""
        return self._environ

    def load(self) -> Settings:
        """Read the settings. Raises ``SettingsError``."""
        if self._has_loaded and _CONFIG in self._environ:
            _check_content(Path(self._environ[_CONFIG]))
        loaded = settings.load(self._environ)
        if not self._environ.get(_CONFIG) and settings.DEFAULT_FILE.exists():
            self._environ[_CONFIG] = str(settings.DEFAULT_FILE)
        self._has_loaded = True
        return loaded


def _check_content(path: Path) -> None:
    try:
        is_empty = not path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return  # loading it says what is wrong
    if is_empty:
        raise SettingsError(f"{path} is empty: is it being written? Replace it with a rename")
