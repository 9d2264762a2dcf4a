"""Workers are tested over the same database as the ledger that they work on."""

from tests.stores.conftest import (  # noqa: F401 - fixtures are used by their names
    database,
    emptied_database,
    superuser_url,
)
