"""The local API key: made once, stored beside the data, made again when it is not valid."""

from pathlib import Path

from ops.embedded.state import write_private
from ops.harness import first_start
from ops.up.children import Children

_ROLES = ("ingest", "query", "operate")


def make(children: Children, file: Path) -> str:
    """A new key, saved in the file (mode 0600). Raises errors.CannotStart."""
    token = first_start.create_api_key(children.command, name="local", roles=_ROLES)
    write_private(file, f"{token}\n")
    return token


def read(file: Path) -> str | None:
    """The key of an earlier run, if there is one."""
    try:
        return file.read_text().strip() or None
    except OSError:
        return None


def is_valid(children: Children, token: str) -> bool:
    """Whether the running gateway accepts it: the database may be another than last time."""
    status, _ = children.listen.get("/v1/orders?limit=1", api_key=token)
    return status not in {401, 403}
