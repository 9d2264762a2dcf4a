"""The SQL of the ledger, one named statement a file, read once when this package is imported.

``@name@`` in a statement stands for the text of ``name.sql``: what several have in common.
"""

import re
from importlib.resources import files

_PART = re.compile(r"@(\w+)@")
_FILES = {
    path.name.removesuffix(".sql"): path.read_text("utf-8")
    for path in files(__name__).iterdir()
    if path.name.endswith(".sql")
}
_SQL = {
    name: _PART.sub(lambda part: _FILES[part[1]], text) if "@" in text else text
    for name, text in _FILES.items()
}


def sql(name: str) -> str:
    """Return the statement ``name``. Raises KeyError for one that does not exist."""
    return _SQL[name]


def sql_without(name: str, part: str) -> str:
    """Return the statement ``name`` without what stands between ``-- part {`` and ``-- }``.

    So a feature that nobody has configured costs nothing. Raises ``KeyError`` for another name.
    """
    return re.sub(rf"(?m)^-- {part} \{{\n(?:.*\n)*?^-- \}}\n", "", _SQL[name])
