"""The SQL of the ledger, one named statement a file, read once when this package is imported."""

from importlib.resources import files

_SQL = {
    path.name.removesuffix(".sql"): path.read_text("utf-8")
    for path in files(__name__).iterdir()
    if path.name.endswith(".sql")
}


def sql(name: str) -> str:
    """Return the statement ``name``. Raises KeyError for one that does not exist."""
    return _SQL[name]
