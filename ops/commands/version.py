"""`tidegate version`."""

import importlib.metadata
import json
import platform

import click

from ops.migrations.version import HEAD

_EPILOG = """\
\b
Example:
  tidegate version --json
Exits 0.
"""


def installed() -> str:
    """Return Tidegate's version, also when it runs from a checkout that was never installed."""
    try:
        return importlib.metadata.version("tidegate")
    except importlib.metadata.PackageNotFoundError:
        return "0 (not installed)"


@click.command("version", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Print the versions of Tidegate, its schema and Python."""
    versions = {
        "tidegate": installed(),
        "schema": HEAD,
        "python": platform.python_version(),
    }
    if as_json:
        click.echo(json.dumps(versions))
        return
    click.echo(f"tidegate {versions['tidegate']}")
    click.echo(f"schema {versions['schema']}, Python {versions['python']}")
