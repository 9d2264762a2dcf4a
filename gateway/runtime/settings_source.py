"""Where a process reads its settings from: at its start, and again by each reload."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.runtime import file_faults, settings_checks
from gateway.runtime.settings import ENV_PREFIX, FILE_ONLY, Settings, SettingsError

DEFAULT_FILE = Path("tidegate.toml")

_CONFIG = f"{ENV_PREFIX}CONFIG"
#: A second file, of accounts and targets beside those of the first: what `tidegate up` adds.
_CONFIG_ADDED = f"{ENV_PREFIX}CONFIG_ADDED"
_ADDED_SECTIONS = frozenset({"accounts", "targets"})


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment. Raises ``SettingsError`` with one sentence to act on."""
    environ = os.environ if environ is None else environ
    values = _with_added(_read_file(environ), environ)
    for name in Settings.__struct_fields__:
        text = environ.get(ENV_PREFIX + name.upper())
        if text is not None and name not in FILE_ONLY:
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
        if field.name not in values or field.name in FILE_ONLY:
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
    return _parse(path)


def _with_added(values: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with the sections of the second file behind those of the first."""
    named = environ.get(_CONFIG_ADDED)
    if not named:
        return values
    added = _parse(Path(named))
    if unknown := sorted(added.keys() - _ADDED_SECTIONS):
        raise SettingsError(
            f"{named} may hold [[accounts]] and [[targets]] only, not {', '.join(unknown)}"
        )
    for name, sections in added.items():
        before = values.get(name, [])
        # What is no list of sections is reported as in the first file.
        if isinstance(before, list) and isinstance(sections, list):
            values[name] = [*before, *sections]
        else:
            values.setdefault(name, sections)
    return values


def _parse(path: Path) -> dict[str, Any]:
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
