"""Where a process reads its settings from: at its start, and again by each reload."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.runtime import file_faults, settings_checks
from gateway.runtime.settings import ENV_PREFIX, Settings, SettingsError

DEFAULT_FILE = Path("tidegate.toml")

_CONFIG = f"{ENV_PREFIX}CONFIG"
_FILE_ONLY = frozenset({"channels", "accounts", "targets"})


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment. Raises ``SettingsError`` with one sentence to act on."""
    environ = os.environ if environ is None else environ
    values = _read_file(environ)
    for name in Settings.__struct_fields__:
        text = environ.get(ENV_PREFIX + name.upper())
        if text is not None and name not in _FILE_ONLY:
            values[name] = text
    if not values.get("database_url"):
        raise SettingsError(
            "database_url is not set: give TIDEGATE_DATABASE_URL=postgresql://user:password@host/db,"
            " "
            "or run `tidegate up`, which brings its own servers"
        )
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as exc:
        raise SettingsError(_faults(values, exc, environ)) from exc
    settings_checks.check(settings)
    return settings


def _faults(
    values: Mapping[str, Any], error: msgspec.ValidationError, environ: Mapping[str, str]
) -> str:
    """Name every wrong scalar as the reader has written it, or else the first fault of a section.

    Values are not quoted: a secret may stand in the wrong place.
    """
    # Only a process that will not start needs it.
    from gateway.runtime import value_faults

    found = []
    for field in msgspec.structs.fields(Settings):
        if field.name not in values or field.name in _FILE_ONLY:
            continue
        try:
            msgspec.convert(values[field.name], field.type, strict=False)
        except msgspec.ValidationError:
            variable = ENV_PREFIX + field.name.upper()
            where = variable if variable in environ else field.name
            found.append(f"{where} must be {value_faults.must_be(field.type)}")
    return "; ".join(found) or value_faults.sentence(error, Settings)


def _read_file(environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get(ENV_PREFIX + "CONFIG")
    path = Path(named) if named else DEFAULT_FILE
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"{path} cannot be read: {file_faults.reason(exc)}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid TOML: {file_faults.reason(exc)}") from exc


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
        loaded = load(self._environ)
        if not self._environ.get(_CONFIG) and DEFAULT_FILE.exists():
            self._environ[_CONFIG] = str(DEFAULT_FILE)
        self._has_loaded = True
        return loaded


def _check_content(path: Path) -> None:
    try:
        is_empty = not path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return  # loading it says what is wrong
    if is_empty:
        raise SettingsError(f"{path} is empty: is it being written? Replace it with a rename")
