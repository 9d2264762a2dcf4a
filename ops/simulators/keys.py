"""Simulated accounts: stored in a file, and written as a section of tidegate.toml."""

import json
import os
from pathlib import Path

import msgspec

from ops.harness import accounts_file
from ops.simulators.contract import Account


def load(path: Path) -> Account:
    """Read an account. Raises ``ValueError`` that says what is wrong with the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Account)
    except OSError as exc:
        raise ValueError(f"{path} holds no simulated account: {exc.strerror}") from None
    except msgspec.MsgspecError as exc:
        raise ValueError(f"{path} holds no simulated account: {exc}") from None


def save(path: Path, account: Account) -> None:
    """Write an account and, beside it, its secrets; only the owner may read the files.

    Raises ``FileExistsError`` if a file exists, and ``OSError``.
    """
    _write(path, json.dumps(msgspec.to_builtins(account), indent=2) + "\n")
    for file, secret in zip(secret_files(path, account), account.secrets, strict=True):
        _write(file, secret)


def secret_files(path: Path, account: Account) -> list[Path]:
    """Return the paths of the secret files that the gateway is configured with."""
    return [path.with_name(f"{path.name}.secret{n}") for n, _ in enumerate(account.secrets, 1)]


def section(provider: str, name: str, channel: str, *, path: Path, account: Account) -> str:
    """Return the section of tidegate.toml that configures the account at the gateway."""
    secrets = [f"file:{file.absolute()}" for file in secret_files(path, account)]
    return accounts_file.section(
        provider=provider,
        name=name,
        channels=[channel],
        secrets=secrets,
        options=account.options,
    )


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
