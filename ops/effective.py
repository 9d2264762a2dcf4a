"""The effective settings for people: where each comes from, its default and its reason.

The reasons are the ``#:`` comments of ``gateway/runtime/settings.py``: written once, read here.
"""

import inspect
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.runtime import settings
from gateway.runtime.settings import ENV_PREFIX, Settings

Source = Literal["default", "file", "environment"]

#: Read elsewhere than in ``Settings``: where to find the file, and what `tidegate up` starts.
OTHER_VARIABLES = frozenset(
    {
        "TIDEGATE_CONFIG",
        "TIDEGATE_PG_BIN",
        "TIDEGATE_VALKEY_BIN",
        "TIDEGATE_RUN_AS",
        "TIDEGATE_TIED_TO_PARENT",
    }
)
_FIELD = re.compile(r"    (\w+): ")


class Line(Struct, frozen=True):
    """One setting as it is shown. Secrets read ``configured``."""

    name: str
    value: Any
    default: Any
    source: Source
    reason: str


def load_without_database(environ: Mapping[str, str] | None = None) -> Settings:
    """Load the settings where a database is not needed yet. Raises ``SettingsError``."""
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in environ.items() if value}
    return settings.load({"TIDEGATE_DATABASE_URL": "postgresql://", **given})


def lines(loaded: Settings, environ: Mapping[str, str] | None = None) -> list[Line]:
    """Return every setting in the order of the source, with where its value comes from."""
    environ = os.environ if environ is None else environ
    in_file = _file_content(environ)
    values, standard, why = settings.shown(loaded), defaults(), reasons()
    if _source("database_url", environ, in_file) == "default":
        values["database_url"] = "not set"  # `load_without_database` put something there
    return [
        Line(
            name=name,
            value=values[name],
            default=standard.get(name),
            source=_source(name, environ, in_file),
            reason=why.get(name, ""),
        )
        for name in Settings.__struct_fields__
    ]


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file that is read; None when there is none."""
    named = environ.get(ENV_PREFIX + "CONFIG")
    path = Path(named) if named else settings.DEFAULT_FILE
    return path if named or path.exists() else None


def defaults() -> dict[str, Any]:
    """Return the plain default of every setting that has one."""
    found = {}
    for field in msgspec.structs.fields(Settings):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = msgspec.to_builtins(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = msgspec.to_builtins(field.default_factory())
    return found


def reasons() -> dict[str, str]:
    """Return the comment of each setting; settings next to each other share theirs.

    Empty where the source was not installed with the code.
    """
    try:
        source = inspect.getsource(Settings)
    except OSError:
        return {}
    found: dict[str, str] = {}
    block: list[str] = []
    is_open = False
    for line in source.splitlines():
        if line.startswith("    #: "):
            block = [*(block if is_open else []), line.removeprefix("    #: ")]
            is_open = True
        elif match := _FIELD.match(line):
            found[match[1]] = " ".join(block).replace("``", "`")
            is_open = False
        else:
            block, is_open = [], False
    return found


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the names of ``TIDEGATE_*`` variables that nothing reads: misspelt, most likely."""
    known = {ENV_PREFIX + name.upper() for name in Settings.__struct_fields__} | OTHER_VARIABLES
    return sorted(name for name in environ if name.startswith(ENV_PREFIX) and name not in known)


def _source(name: str, environ: Mapping[str, str], in_file: Mapping[str, Any]) -> Source:
    is_file_only = name in ("channels", "accounts")
    if not is_file_only and ENV_PREFIX + name.upper() in environ:
        return "environment"
    return "file" if name in in_file else "default"


def _file_content(environ: Mapping[str, str]) -> dict[str, Any]:
    path = config_file(environ)
    # That it can be read was found out by loading the settings.
    return tomllib.loads(path.read_text("utf-8")) if path else {}
