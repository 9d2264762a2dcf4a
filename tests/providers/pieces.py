"""What belongs to a provider beside its adapter, and the sentence that says what is missing.

The steps in order: `.github/CONTRIBUTING.md`, "Add a provider".
"""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway import providers
from gateway.providers import registry
from ops.simulators import registry as simulated

ROOT = Path(__file__).resolve().parents[2]

_OFFERS = ("KINDS", "FORGERIES", "CURRENCIES", "create", "simulator")
_SECTIONS = ("Set it up", "Try it", "Answers", "Checked against")
_ROW = re.compile(
    r"^\| (committed|send again|rejected) \| (\d+) \| `([^`]+)` \| `([^`]+)` \|$", re.M
)
_CLIENT = re.compile(r"^- `([^`]+)`", re.M)
#: Modules that belong to no provider.
_COMMON = frozenset({"contract", "registry", "shared"})
_ANSWERS = {"committed": "accepted", "send again": "later", "rejected": "rejected"}


def missing_code(name: str) -> list[str]:
    """Say what of a registered provider's code is missing."""
    where = f"ops/simulators/{name}.py"
    if name not in simulated.names():
        return [f"{where} is missing: it plays {name}; ops/simulators/contract.py says how"]
    module = importlib.import_module(f"ops.simulators.{name}")
    lacks = [offer for offer in _OFFERS if not hasattr(module, offer)]
    found = [f"{where} lacks {offer}; ops/simulators/contract.py says what" for offer in lacks]
    adapter = importlib.import_module(registry.PROVIDERS[name].adapter.__module__)
    if not hasattr(adapter, "Options"):
        found.append(f"gateway/providers/{name}.py lacks Options, which may be an empty Struct")
    return found


def missing_text(name: str, options: Iterable[str], *, root: Path = ROOT) -> list[str]:
    """Say what of a provider's page, row and independent clients is missing below ``root``."""
    where = f"gateway/providers/{name}.md"
    found = []
    if f"[`{name}`]({where})" not in (root / "README.md").read_text("utf-8"):
        found.append(f"README.md has no row for {name}: link [`{name}`]({where}) in its table")
    if not (root / where).exists():
        return [*found, f"{where} is missing: it says how an operator sets {name} up"]
    page = (root / where).read_text("utf-8")
    found += [f"{where} has no section {s!r}" for s in _SECTIONS if f"\n## {s}\n" not in page]
    found += [f"{where} does not describe the option {o}" for o in options if f"`{o}`" not in page]
    if f"tidegate simulate {name}" not in page:
        found.append(f"{where} does not say how to try it with `tidegate simulate {name}`")
    if example(page).get("provider") != name:
        found.append(f"{where} has no valid toml example of [[accounts]] with provider = {name!r}")
    if len(answers(page)) != len(_ANSWERS):
        found.append(f"{where} has no table of the three answers, one row each")
    return [*found, *_missing_clients(name, page, root)]


def _missing_clients(name: str, page: str, root: Path) -> list[str]:
    where = f"gateway/providers/{name}.md"
    named = clients(page)
    if not named:
        if re.search(r"\nNo independent client: .{12}", section(page, "Checked against")):
            return []
        return [f"{where} names no client under 'Checked against', nor why there is none"]
    found = []
    if not (root / "tests" / "interop" / f"test_{name}.py").exists():
        found.append(f"tests/interop/test_{name}.py is missing: {where} names {named[0]}")
    locks = ("tests/requirements.lock", "tests/interop/requirements.lock")
    pinned = "".join((root / lock).read_text("utf-8").lower() for lock in locks)
    found += [
        f"{client} is named by {where} and pinned in neither {' nor '.join(locks)}"
        for client in named
        if f"{client.lower()}==" not in pinned
    ]
    return found


def strays(*, root: Path = ROOT) -> list[str]:
    """Say which files look like a provider's and belong to none that is registered."""
    known = set(registry.PROVIDERS)
    found = []
    for module in pkgutil.iter_modules(providers.__path__):
        owners = {name for name in known if f"{module.name}_".startswith(f"{name}_")}
        if not owners and module.name not in _COMMON:
            found.append(
                f"gateway/providers/{module.name}.py belongs to no provider: add a line to "
                "gateway/providers/registry.py, or move it to gateway/providers/shared/"
            )
    for page in sorted((root / "gateway" / "providers").glob("*.md")):
        if page.stem not in known:
            found.append(f"gateway/providers/{page.name} is the page of no registered provider")
    found += [
        f"ops/simulators/{name}.py plays no provider of gateway/providers/registry.py"
        for name in simulated.names()
        if name not in known
    ]
    return found


def section(page: str, title: str) -> str:
    """Return the text of one section of a page, ``""`` if there is none."""
    _, _, rest = page.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


def clients(page: str) -> list[str]:
    """Return the independent clients that a page names, as their distributions are called."""
    return _CLIENT.findall(section(page, "Checked against"))


def answers(page: str) -> dict[str, tuple[int, str, bytes]]:
    """Return what a page says of each answer: status, content type and body."""
    rows = _ROW.findall(section(page, "Answers"))
    return {_ANSWERS[row[0]]: (int(row[1]), row[2], row[3].encode()) for row in rows}


def example(page: str) -> dict[str, Any]:
    """Return the first account that a page shows in valid toml, empty if there is none."""
    for text in re.findall(r"```toml\n(.*?)```", page, re.S):
        try:
            accounts = tomllib.loads(text).get("accounts")
        except tomllib.TOMLDecodeError:
            continue
        if accounts:
            account: dict[str, Any] = accounts[0]
            return account
    return {}
