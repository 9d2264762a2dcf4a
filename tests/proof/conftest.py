"""Provider accounts for every proof."""

from pathlib import Path

import pytest

from gateway.runtime.settings import Account
from tests.support.payers import Payers


@pytest.fixture
def payers(tmp_path: Path) -> Payers:
    return Payers(tmp_path)


@pytest.fixture
def accounts(payers: Payers) -> list[Account]:
    return payers.settings
