"""A fake without a contract is a guess."""

import pkgutil
from pathlib import Path

from tests.support import fakes

#: The clock is no store: what reads it takes any time.
NO_STORES = {"clock"}


def test_every_fake_has_a_contract() -> None:
    names = {module.name for module in pkgutil.iter_modules(fakes.__path__)} - NO_STORES
    tried = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert names
    assert names <= tried
