"""The page of the metrics: every one that the sources of the gateway and of the workers define."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from msgspec import Struct

import gateway
import workers
from ops.reference import comments, markdown

_INTRODUCTION = """\
Every metric of Tidegate's own, by the name that Prometheus stores. Labels have few values, from
closed lists; none carries a number of an order, a key or anything private.
Beside them are the `process_*` and `python_*` metrics of the Prometheus client.
A gateway shows its metrics at `/metrics` of its port, a worker at
[`worker_metrics_port`](settings.md#worker_metrics_port).
"""
#: The module that each kind of process starts with.
_ENTRIES = {"gateway": "gateway.web.process", "worker": "workers.supervisor"}
_KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram"}
_PREFIX = "tidegate_"


class Described(Struct, frozen=True):
    """One metric as the page shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    #: What the comment behind its definition says of the labels' values; empty: nothing.
    values: str
    module: str


def page() -> str:
    """Return the page, in the order of the names."""
    parts = [_INTRODUCTION]
    registered = {kind: _imported(entry) for kind, entry in _ENTRIES.items()}
    for each in sorted(described(), key=lambda each: each.name):
        kinds = [kind for kind, modules in registered.items() if each.module in modules]
        facts = [each.kind]
        if each.labels:
            values = f" ({each.values})" if each.values else ""
            facts.append(f"labels {markdown.codes(each.labels)}{values}")
        facts.append(f"of {' and '.join(kinds)}")
        parts.append(f"## `{each.name}`\n\n{each.meaning}\n\n{' · '.join(facts)}")
    return markdown.page("Metrics", *parts)


def described() -> Iterator[Described]:
    """Yield every metric that a module defines. Raises ``ValueError`` for a computed name."""
    for module, path in _modules().items():
        text = path.read_text("utf-8")
        behind = comments.trailing(text)
        for statement in ast.walk(_tree(module)):
            if not isinstance(statement, ast.Assign):
                continue
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Call) and _is_metric(node):
                    values = behind.get(statement.end_lineno or 0, "")
                    yield _described(node, values, module)


def _is_metric(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Name)
        and call.func.id in _KINDS
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and str(call.args[0].value).startswith(_PREFIX)
    )


def _described(call: ast.Call, values: str, module: str) -> Described:
    assert isinstance(call.func, ast.Name)
    name, meaning, *labels = (ast.literal_eval(argument) for argument in call.args)
    return Described(
        name=name + ("_total" if call.func.id == "Counter" else ""),
        kind=_KINDS[call.func.id],
        labels=tuple(labels[0]) if labels else (),
        meaning=meaning,
        values=values,
        module=module,
    )


@cache
def _modules() -> Mapping[str, Path]:
    """Return the source of each module of the gateway and the workers by its name."""
    found = {}
    for package in (gateway, workers):
        assert package.__file__
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_modules()[module].read_text("utf-8"))


def _imported(entry: str) -> set[str]:
    """Return the modules of this tree that a process imports, by reading its sources."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in found and name in _modules():
            found.add(name)
            waiting += _imports(_tree(name))
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
