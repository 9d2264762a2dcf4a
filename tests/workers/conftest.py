"""Workers are tested over the same database as the ledger that they work on."""

from tests.support.databases import emptied_database as database  # noqa: F401 - used by its name
