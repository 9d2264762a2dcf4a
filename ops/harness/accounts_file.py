"""Provider accounts as ``tidegate.toml`` lists them, and the files that hold their secrets."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def section(
    *,
    provider: str,
    name: str,
    channels: Sequence[str],
    secrets: Sequence[str],
    options: Mapping[str, object],
) -> str:
    """Return one ``[[accounts]]`` section, without a line break at its end."""
    lines = [
        "[[accounts]]",
        f"provider = {value(provider)}",
        f"name = {value(name)}",
        f"channels = {value(channels)}",
        f"secrets = {value(secrets)}",
    ]
    if options:
        lines.append(f"options = {value(options)}")
    return "\n".join(lines)


def value(of: object) -> str:
    """Write a value as TOML: text, a number, a boolean, a list of values, or a table."""
    if isinstance(of, Mapping):
        pairs = [f"{json.dumps(key)} = {value(inner)}" for key, inner in of.items()]
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(of, list | tuple):
        return "[" + ", ".join(map(value, of)) + "]"
    # TOML and JSON write these types alike.
    return json.dumps(of, ensure_ascii=False)


def write_secrets(directory: Path, provider: str, secrets: Sequence[str]) -> list[str]:
    """Write each secret into a file of mode 0600; return the references for the settings."""
    references = []
    for n, secret in enumerate(secrets, 1):
        file = directory / f"{provider}.secret{n}"
        file.touch(mode=0o600)
        file.write_text(secret, "utf-8")
        references.append(f"file:{file}")
    return references
