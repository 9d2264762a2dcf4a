"""The page of the metrics: every one that a process of the gateway or a worker registers."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType

from msgspec import Struct
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

import gateway
import workers
from ops.reference import comments, markdown

_INTRODUCTION = """\
Every metric of Tidegate's own, by the name that Prometheus stores. Labels have few values, from
closed lists; none carries a number of an order, a key or anything private.
Beside them are the `process_*` and `python_*` metrics of the Prometheus client.
"""
#: The module that each kind of process starts with.
_ENTRIES = {"gateway": "gateway.web.process", "worker": "workers.supervisor"}
_TYPES: Mapping[type[MetricWrapperBase], str] = {
    Counter: "counter",
    Gauge: "gauge",
    Histogram: "histogram",
}


class Described(Struct, frozen=True):
    """One metric as the page shows it."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str
    #: What the comment behind its definition says of the labels' values; empty: nothing.
    values: str
    module: str


def page() -> str:
    """Return the page: a table for each package that has metrics."""
    parts = [_INTRODUCTION]
    registered = {kind: _imported(entry) for kind, entry in _ENTRIES.items()}
    found = sorted(described(), key=lambda each: each.name)
    for each in found:
        kinds = [kind for kind, modules in registered.items() if each.module in modules]
        facts = [each.type]
        if each.labels:
            values = f" ({each.values})" if each.values else ""
            facts.append(f"labels {markdown.codes(each.labels)}{values}")
        facts.append(f"of {' and '.join(kinds)}")
        parts.append(f"## `{each.name}`\n\n{each.meaning}\n\n{' · '.join(facts)}")
    return markdown.page("Metrics", *parts)


def described() -> Iterator[Described]:
    """Yield every metric that a module of the gateway or of the workers defines."""
    for module in _modules():
        behind = comments.trailing(module)
        for name, value in comments.assignments(module).items():
            metric = getattr(module, name)
            if not isinstance(metric, MetricWrapperBase) or not _is_call(value):
                continue
            (family,) = metric.describe()
            yield Described(
                name=family.name + ("_total" if isinstance(metric, Counter) else ""),
                type=_TYPES[type(metric)],
                labels=tuple(metric._labelnames),  # the library has no other way to ask
                meaning=family.documentation,
                values=behind.get(value.end_lineno or 0, ""),
                module=module.__name__,
            )


def _is_call(value: ast.expr) -> bool:
    """Return whether the metric is made here and not a child or an alias of another."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name)


def _modules() -> Iterator[ModuleType]:
    for package in (gateway, workers):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def _imported(entry: str) -> set[str]:
    """Return the modules of this tree that a process imports, by reading its sources."""
    names = {module.__name__: module for module in _modules()}
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found or name not in names:
            continue
        found.add(name)
        waiting += _imports(names[name])
    return found


def _imports(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
