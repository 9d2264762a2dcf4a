"""``elsewhere`` runs scripts with clients that cannot be installed with the others.

Its ``run(script, **payload)`` gives the script JSON on stdin and takes JSON from stdout. An
environment that cannot be made fails the tests that need it: a skip would hide that nothing was
compared.

``now`` is the wall clock as the test begins. Libraries that take no time read the clock
themselves and reject what was signed minutes ago: a message for them is signed in the test that
verifies it, never while the module is imported, which may be long before on a slow machine.
"""

from datetime import UTC, datetime

import pytest

from tests.interop.elsewhere import Elsewhere, Unusable
from tests.providers.conftest import pooled_keys  # noqa: F401 - fixtures are used by their names


@pytest.fixture(scope="session")
def elsewhere() -> Elsewhere:
    try:
        return Elsewhere()
    except Unusable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def now() -> datetime:
    # Whole seconds: signatures carry no more, and libraries compare what they carry.
    return datetime.now(UTC).replace(microsecond=0)
