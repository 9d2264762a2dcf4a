"""A fixture for modules whose tests make many accounts."""

from collections.abc import Iterator

import pytest

from tests.support.key_pool import POOL


@pytest.fixture
def pooled_keys() -> Iterator[None]:
    """Accounts that a test creates use keys of the pool."""
    with POOL.lent():
        yield
