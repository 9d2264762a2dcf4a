"""The demonstration warehouse of `tidegate up`: whether it runs, and the settings that name it.

It is an account (its reports come in there) and a target (paid orders go out there) in a settings
file of its own, beside the user's, which stays as it is.
"""

import base64
import importlib.util
import secrets
from collections.abc import Sequence
from pathlib import Path

from ops.embedded.state import write_private
from ops.harness import accounts_file, command_line
from ops.up.surroundings import Surroundings

NAME = "demo-warehouse"
_TOPICS = ("order.paid", "order.cancelling", "order.refunded", "order.closed")
_HOST = "127.0.0.1"


def is_wanted(asked: bool | None, around: Surroundings) -> bool:
    """Return whether the warehouse runs: as it was asked for, else where nobody else ships.

    That is on servers of our own, with no target in the user's settings.
    """
    if asked is not None:
        return asked
    return not around.given["database_url"] and not around.settings.targets


def missing() -> str:
    """Say what has to be installed for it; empty when it can run."""
    if importlib.util.find_spec("standardwebhooks") is not None:
        return ""
    return (
        "The demonstration warehouse is left out: it needs the package standardwebhooks, of the "
        "extra `embedded`."
    )


class Warehouse:
    """One run of it: where it listens, its secrets, and the files that name them."""

    def __init__(self, state: Path, *, port: int) -> None:
        self.url = f"http://{_HOST}:{port}"
        self._port = port
        self._directory = state.resolve() / "warehouse"

    @property
    def settings_file(self) -> Path:
        """The file for ``TIDEGATE_CONFIG_ADDED``."""
        return self._directory / "settings.toml"

    def configure(self, channels: Sequence[str]) -> None:
        """Write the settings that name it, for the orders of these channels."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        account = accounts_file.section(
            provider="standard_webhooks",
            name=NAME,
            channels=channels,
            secrets=[f"file:{self._secret('out')}"],
            options={},
        )
        target = {
            "name": NAME,
            "kind": "webhook",
            "url": f"{self.url}/hand-off",
            "secrets": [f"file:{self._secret('in')}"],
            "topics": _TOPICS,
            "channels": channels,
            "has_private": True,
            "accepts": "callback",
            "private_addresses": [_HOST],
        }
        lines = [f"{name} = {accounts_file.value(value)}" for name, value in target.items()]
        head = "# Written by `tidegate up`: its warehouse for demonstration. --bare leaves it out."
        text = "\n".join([head, account, "", "[[targets]]", *lines])
        write_private(self.settings_file, f"{text}\n")

    def arguments(self, gateway_url: str) -> list[str]:
        """Return the argv of its process."""
        return command_line.python_module(
            "ops.warehouse",
            f"--host={_HOST}",
            f"--port={self._port}",
            f"--gateway={gateway_url}/v1/callbacks/standard_webhooks/{NAME}",
            f"--secret-in={self._secret('in')}",
            f"--secret-out={self._secret('out')}",
            f"--book={self._directory / 'book.sqlite3'}",
        )

    def _secret(self, of: str) -> Path:
        """Return the file of a secret, which is made once."""
        file = self._directory / f"secret-{of}"
        if not file.exists():
            made = base64.b64encode(secrets.token_bytes(32)).decode()
            write_private(file, f"whsec_{made}")
        return file
