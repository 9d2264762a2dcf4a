"""A fixture for modules whose tests make many accounts."""

from collections.abc import Iterator

import pytest

from tests.support.key_pool import POOL


@pytest.fixture
def pooled_keys() -> Iterator[None]:
    """The accounts that a test makes have keys of the pool; it keeps none of them."""
    with POOL.lent():
        yield
