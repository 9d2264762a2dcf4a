"""The effective settings for people: where each comes from, its unit, its default and its reason.

The reasons are the ``#:`` comments of ``gateway/runtime/settings.py``, the sections its headings
``# --- … ---``: written once, read here. A unit follows from the end of a name.
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

from gateway.runtime import settings, settings_source
from gateway.runtime.settings import ENV_PREFIX, FILE_ONLY, Settings

Source = Literal["default", "file", "environment"]

#: Read elsewhere than in ``Settings``: where to find the file, and what `tidegate up` starts.
OTHER_VARIABLES = frozenset(
    {
        "TIDEGATE_CONFIG",
        "TIDEGATE_CONFIG_ADDED",
        "TIDEGATE_PG_BIN",
        "TIDEGATE_VALKEY_BIN",
        "TIDEGATE_RUN_AS",
        "TIDEGATE_TIED_TO_PARENT",
        # What `. .tidegate/env` sets beside the settings: where the gateway and the warehouse for
        # demonstration are, and a key.
        "TIDEGATE_URL",
        "TIDEGATE_API_KEY",
        "TIDEGATE_SOURCED",
        "TIDEGATE_WAREHOUSE_URL",
    }
)
_FIELD = re.compile(r"    (\w+): ")
_HEADING = re.compile(r"    # --- (.+) ---")
#: Units by the end of a name, the longest first; and those that no name says.
_UNITS_BY_END = {
    "requests_per_s_max": "requests/s",
    "_bytes_max": "bytes",
    "_rows_max": "rows",
    "_months": "months",
    "_days": "days",
    "_h": "h",
    "_s": "s",
}
_UNITS = {
    "port": "TCP port",
    "admin_port": "TCP port",
    "worker_metrics_port": "TCP port",
    "worker_nice": "steps of nice",
    "connections_max": "connections",
    "key_burst": "requests",
    "batches_in_flight": "batches",
    "waiting_max": "events",
    "database_pool_max": "connections",
    "replica_pool_max": "connections",
    "exports_max": "exports",
    "streams_max": "streams",
    "journal_shards": "streams",
    "journal_queue": "events",
    "journal_fill_max": "of memory",
    "refused_minute_max": "callbacks",
}


class Line(Struct, frozen=True):
    """One setting as it is shown. Secrets read ``configured``."""

    name: str
    value: Any
    #: Of the value; empty where it is no number.
    unit: str
    default: Any
    source: Source
    reason: str
    #: The heading that it stands under in the source.
    section: str


def load_without_database(environ: Mapping[str, str] | None = None) -> Settings:
    """Load the settings where a database is not needed yet. Raises ``SettingsError``."""
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in environ.items() if value}
    return settings_source.load({"TIDEGATE_DATABASE_URL": "postgresql://", **given})


def lines(loaded: Settings, environ: Mapping[str, str] | None = None) -> list[Line]:
    """Return every setting in the order of the source, with where its value comes from."""
    environ = os.environ if environ is None else environ
    in_file = file_content(environ)
    values, standard, why = settings.shown(loaded), defaults(), reasons()
    section_of = sections()
    if _source("database_url", environ, in_file) == "default":
        values["database_url"] = "not set"  # `load_without_database` put something there
    return [
        Line(
            name=name,
            value=values[name],
            unit=unit(name),
            default=standard.get(name),
            source=_source(name, environ, in_file),
            reason=why.get(name, ""),
            section=section_of.get(name, ""),
        )
        for name in Settings.__struct_fields__
    ]


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file that is read; None when there is none."""
    named = environ.get(ENV_PREFIX + "CONFIG")
    path = Path(named) if named else settings_source.DEFAULT_FILE
    return path if named or path.exists() else None


def file_content(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the settings file holds. That it can be read was found out by loading it."""
    path = config_file(environ)
    return tomllib.loads(path.read_text("utf-8")) if path else {}


def defaults(struct: type[Struct] = Settings) -> dict[str, Any]:
    """Return the plain default of every setting, or key of a section, that has one."""
    found = {}
    for field in msgspec.structs.fields(struct):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = msgspec.to_builtins(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = msgspec.to_builtins(field.default_factory())
    return found


def unit(name: str) -> str:
    """Return the unit of a setting; empty where its value is no number."""
    ends = (of for end, of in _UNITS_BY_END.items() if name.endswith(end))
    return _UNITS.get(name) or next(ends, "")


def sections() -> dict[str, str]:
    """Return the heading that each setting stands under; empty without the source, as `reasons`."""
    found: dict[str, str] = {}
    heading = ""
    for line in _source_lines(Settings):
        if match := _HEADING.match(line):
            heading = match[1]
        elif match := _FIELD.match(line):
            found[match[1]] = heading
    return found


def reasons(struct: type[Struct] = Settings) -> dict[str, str]:
    """Return the comment of each setting; settings next to each other share theirs.

    Empty where the source was not installed with the code.
    """
    found: dict[str, str] = {}
    block: list[str] = []
    is_open = False
    for line in _source_lines(struct):
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


def _source_lines(struct: type[Struct]) -> list[str]:
    try:
        return inspect.getsource(struct).splitlines()
    except OSError:
        return []


def _source(name: str, environ: Mapping[str, str], in_file: Mapping[str, Any]) -> Source:
    if name not in FILE_ONLY and ENV_PREFIX + name.upper() in environ:
        return "environment"
    return "file" if name in in_file else "default"
