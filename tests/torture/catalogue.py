"""All faults: those that the modules ``faults_*`` of this package list."""

import importlib
import pkgutil
from pathlib import Path

from tests.torture.fault import Fault


def faults() -> dict[str, Fault]:
    """Return all faults and controls by name, family after family."""
    found: dict[str, Fault] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith("faults_"):
            for fault in importlib.import_module(f"{__package__}.{module.name}").FAULTS:
                assert fault.name not in found, f"two faults are called {fault.name}"
                found[fault.name] = fault
    return found
