"""``elsewhere`` runs scripts with clients that can not be installed beside the others.

Its ``run(script, **payload)`` gives the script JSON on stdin and takes JSON from stdout. An
environment that can not be made fails the tests that need it: a skip would hide that nothing was
compared.
"""

import pytest

from tests.interop.elsewhere import Elsewhere, Unusable
from tests.providers.conftest import pooled_keys  # noqa: F401 - fixtures are used by their names


@pytest.fixture(scope="session")
def elsewhere() -> Elsewhere:
    try:
        return Elsewhere()
    except Unusable as error:
        pytest.fail(str(error), pytrace=False)
