"""What the shell of `tidegate up` has set: servers of the user's own, or a sourced STATE/env.

STATE/env tells other commands where the embedded servers are. A shell that has sourced it names
those servers to the next `tidegate up` too, which must not take them for the user's own. So the
file also exports digests of what it exports: a variable that still has its sourced value is known
by its digest, whatever has become of the state directory.
"""

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gateway.runtime import settings
from gateway.runtime.settings import Settings
from ops import effective

SOURCED = "TIDEGATE_SOURCED"
#: Settings that name servers and files; `tidegate up` fills in those that the user has not set.
PLACES = (
    "database_url", "replica_urls", "redis_url", "journal_url", "keyring_file", "control_dir",
    "worker_metrics_host", "worker_metrics_port",
)  # fmt: skip
_SERVERS = ("database_url", "replica_urls", "redis_url", "journal_url")
_DIGEST_CHARS = 16


class Surroundings(Struct, frozen=True, kw_only=True):
    """What the user has set, without what was sourced."""

    environ: Mapping[str, str]
    settings: Settings
    #: Of ``PLACES``, from environment or file; empty when not set.
    given: Mapping[str, str]
    #: The variables that a STATE/env has set, and the directory it was in, as far as known.
    sourced: tuple[str, ...]
    sourced_from: str

    def note(self, state: Path | None) -> str:
        """Explain sourced addresses, where they could surprise; empty where they cannot.

        ``state`` is the directory of this run, None for a temporary one.
        """
        if not self.sourced:
            return ""
        origin = f"{self.sourced_from or 'a state directory'}/env"
        foreign = [_variable(name) for name in _SERVERS if self.given[name]]
        own = [name for name in map(_variable, _SERVERS) if name in self.sourced]
        if foreign and own:
            return (
                f"{_listed(foreign)} {_are(foreign)} yours and in use. {_listed(own)} "
                f"{_are(own)} of {origin}, which this shell has sourced: servers of this run "
                f"replace {'it' if len(own) == 1 else 'them'}."
            )
        if own and (state is None or str(state.absolute()) != self.sourced_from):
            return (
                f"This shell has sourced {origin}, of another state directory: its addresses are "
                "not used here."
            )
        return ""


def look(environ: Mapping[str, str], state: Path | None) -> Surroundings:
    """Read the environment and the settings file, before any server is started.

    ``state`` is the state directory of this run, None for a temporary one. Raises
    ``SettingsError``, so that a wrong tidegate.toml is reported now.
    """
    origin, digests = _exported(environ)
    if state is not None:
        # A file of an earlier version has no digests.
        known = {_digest(*each) for each in _assignments(state / "env")}
        if known and not digests:
            origin = str(state.absolute())
        digests |= known
    sourced = tuple(
        name
        for name, value in environ.items()
        if name == SOURCED or (name.startswith("TIDEGATE_") and _digest(name, value) in digests)
    )
    # As everywhere: a variable that is empty counts as not set.
    left = {name: value for name, value in environ.items() if value and name not in sourced}
    loaded = effective.load_without_database(left)
    in_file = effective.file_content(left)
    return Surroundings(
        environ=left,
        settings=loaded,
        given={name: left.get(_variable(name)) or str(in_file.get(name, "")) for name in PLACES},
        sourced=tuple(name for name in sourced if name != SOURCED),
        sourced_from=origin,
    )


def exports(variables: Mapping[str, str], *, state: Path) -> str:
    """Return the text of STATE/env for these variables."""
    digests = ",".join(_digest(*each) for each in variables.items())
    where = shlex.quote(str(state / "env"))
    lines = [
        f"# Written by `tidegate up`. `. {where}` tells a shell where its servers are, and has",
        "# an API key for its gateway in TIDEGATE_API_KEY.",
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        f"export {SOURCED}={shlex.quote(f'{digests}:{state}')}",
    ]
    return "\n".join(lines) + "\n"


def _exported(environ: Mapping[str, str]) -> tuple[str, set[str]]:
    digests, _, origin = environ.get(SOURCED, "").partition(":")
    return origin, set(filter(None, digests.split(",")))


def _assignments(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals and line.startswith("export "):
            try:
                found.append((name, "".join(shlex.split(value))))
            except ValueError:  # edited by hand
                continue
    return found


def _digest(name: str, value: str) -> str:
    text = f"{name}={value}".encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGEST_CHARS]


def _variable(name: str) -> str:
    return settings.ENV_PREFIX + name.upper()


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
