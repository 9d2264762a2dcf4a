"""The page of the settings."""

from typing import Any

import msgspec
from msgspec import inspect as types

from gateway.runtime import reload_plan
from gateway.runtime.settings import ENV_PREFIX, FILE_ONLY, Settings
from ops import effective
from ops.reference import markdown

_INTRODUCTION = """\
Each setting is an environment variable or a key of `tidegate.toml`, the file that
`TIDEGATE_CONFIG` names; the environment wins.
`tidegate config` prints what is in force and where it comes from, `tidegate config --example` a
file with every default.
A wrong or contradictory set is refused before anything starts, with the name of the setting.
What changes on SIGHUP needs no restart, see the [runbook](../../runbooks/reload.md).
"""


def page() -> str:
    """Return the page: every setting below the heading that it has in the source."""
    described = types.type_info(Settings)
    assert isinstance(described, types.StructType)
    fields = {field.name: field for field in described.fields}
    why = effective.reasons(Settings)
    parts = [_INTRODUCTION]
    last = ""
    for name, heading in effective.sections().items():
        if heading != last:
            parts.append(f"## {heading[:1].upper()}{heading[1:]}")
        last = heading
        parts.append(_setting(fields[name], why[name]))
    return markdown.page("Settings", *parts)


def _setting(field: types.Field, reason: str) -> str:
    head = f"### `{field.name}`\n\n{reason}\n\n"
    changes = "changes on SIGHUP" if field.name in reload_plan.LIVE else "needs a restart"
    if field.name in FILE_ONLY:
        assert isinstance(field.type, types.ListType)
        assert isinstance(field.type.item_type, types.StructType)
        rows = _table(field.type.item_type.cls)
        return f"{head}Only in the file, a table for each · {changes}\n\n{rows}"
    facts = [markdown.code(ENV_PREFIX + field.name.upper()), *_facts(field), changes]
    return head + " · ".join(facts)


def _table(struct: type[msgspec.Struct]) -> str:
    """Return a table of the keys of a table of the file."""
    described = types.type_info(struct)
    assert isinstance(described, types.StructType)
    why = effective.reasons(struct)
    rows = [
        (markdown.code(field.name), " · ".join(_facts(field)), why.get(field.name, ""))
        for field in described.fields
    ]
    return markdown.table(("key", "value", ""), rows)


def _facts(field: types.Field) -> list[str]:
    """Return kind, default with its unit, and bounds."""
    return [_kind(field.type), _default(field), *_bounds(field.type)]


def _kind(kind: types.Type) -> str:
    match kind:
        case types.UnionType():
            # Unset, or of the one kind beside it.
            return _kind(next(t for t in kind.types if not isinstance(t, types.NoneType)))
        case types.BoolType():
            return "true or false"
        case types.LiteralType():
            return "one of " + markdown.codes(sorted(map(str, kind.values)))
        case types.IntType():
            return "a number"
        case types.FloatType():
            return "a number, with decimals"
        case types.ListType():
            return "a list of texts"
        case types.DictType():
            return "a table"
        case _:
            return "text"


def _default(field: types.Field) -> str:
    if field.required:
        return "required"
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory()
    if default is None:
        return "default: unset"
    if default in ("", [], {}):
        return "default: empty"
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    unit = f" {effective.unit(field.name)}".rstrip().removesuffix(" TCP port")
    return f"default: `{shown}`{unit}{_in_words(field.name, default)}"


def _in_words(name: str, value: Any) -> str:
    """Return a large number of bytes as people say it."""
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if name.endswith("_bytes_max") and value >= factor:
            return f" ({value / factor:g} {unit})"
    return ""


def _bounds(kind: types.Type) -> list[str]:
    if isinstance(kind, types.StrType) and kind.pattern:
        return ["matches " + markdown.code(kind.pattern.removesuffix(r"(?!\n)"))]
    if isinstance(kind, types.ListType):
        if kind.max_length:
            return [f"{kind.min_length or 0} to {kind.max_length} of them"]
        return [f"at least {kind.min_length}"] if kind.min_length else []
    if not isinstance(kind, (types.IntType, types.FloatType)):
        return []
    low = f"above {kind.gt:g}" if kind.gt is not None else f"at least {kind.ge or 0:g}"
    return [f"{low}, at most {_number(kind.le)}"] if kind.le is not None else [low]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
