"""Schemas as lists of fields: name, type, bounds, and what it means."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.web.docs.markup import escaped, joined, prose

Schema = Mapping[str, Any]
Components = Mapping[str, Schema]

_REF = "#/components/schemas/"
#: The keywords of a lower and an upper bound, and what they count.
_BOUNDS = (
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minimum", "maximum", ""),
)


def anchor(name: str) -> str:
    """Return the id of a schema's place on the page."""
    return f"schema-{name}"


def problem_anchor(kind: str) -> str:
    """Return the id of the place where a kind of problem is explained."""
    return f"problem-{kind}"


def name_of(schema: Schema) -> str | None:
    """Return the name of the component that a schema refers to."""
    reference = schema.get("$ref", "")
    return reference.removeprefix(_REF) if reference else None


def resolved(schema: Schema, components: Components) -> Schema:
    """Return a schema without its reference; what stands beside the reference wins."""
    name = name_of(schema)
    return schema if name is None else {**components[name], **schema}


def is_object(schema: Schema) -> bool:
    """Return whether a schema is of an object whose fields are known."""
    return "properties" in schema


def listed(schema: Schema, components: Components) -> str:
    """Return the fields of an object, those of its parts inside them."""
    return _listed(resolved(schema, components), components, ())


def described(schema: Schema, components: Components) -> str:
    """Return the type of a value and its bounds as HTML."""
    value = _not_null(schema)
    parts = [_type(schema, components)]
    parts += filter(None, (_bounds(value, *keys) for keys in _BOUNDS))
    text = ", ".join(parts)
    if schema.get("default") not in (None, ""):
        text += f"; default <code>{escaped(_json_text(schema['default']))}</code>"
    if "pattern" in value:
        text += f"; matches <code>{escaped(value['pattern'])}</code>"
    return text


def _bounds(schema: Schema, low: str, high: str, unit: str) -> str:
    # A text of 0 characters or more is any text.
    least, most = schema.get(low) or ("" if unit else schema.get(low, "")), schema.get(high, "")
    if least == "" and most == "":
        return ""
    if most == "":
        return f"{least} or more{unit}"
    return f"up to {most}{unit}" if least == "" else f"{least} to {most}{unit}"


def values(schema: Schema, components: Components) -> str:
    """Return the values of a closed list as HTML; empty where every value is allowed."""
    whole = resolved(_not_null(schema), components)
    found = whole.get("enum", [whole["const"]] if "const" in whole else [])
    return ", ".join(f"<code>{escaped(_json_text(value))}</code>" for value in found)


def _listed(schema: Schema, components: Components, within: tuple[str, ...]) -> str:
    required = schema.get("required", ())
    rows = [
        _row(name, field, components, is_required=name in required, within=within)
        for name, field in schema["properties"].items()
    ]
    return f'<dl class="fields">\n{joined(rows)}\n</dl>'


def _row(
    name: str,
    field: Schema,
    components: Components,
    *,
    is_required: bool,
    within: tuple[str, ...],
) -> str:
    flag = ' <span class="required">required</span>' if is_required else ""
    meaning = resolved(_not_null(field), components)
    text = field.get("description") or ("" if is_object(meaning) else meaning.get("description"))
    return joined(
        [
            f"<div><dt><code>{escaped(name)}</code> "
            f'<span class="type">{described(field, components)}</span>{flag}</dt>',
            f"<dd>{prose(text or '')}{_choices(field, components)}"
            f"{_inner(field, components, within)}</dd></div>",
        ]
    )


def _choices(field: Schema, components: Components) -> str:
    found = values(field, components)
    return f"<p>One of {found}.</p>" if found else ""


def _inner(field: Schema, components: Components, within: tuple[str, ...]) -> str:
    """Return the fields of an object inside an object, folded; a recursive one ends here."""
    schema = _not_null(field)
    if schema.get("type") == "array":
        schema = schema["items"]
    name = name_of(schema)
    if name is None or name in within or not is_object(components[name]):
        return ""
    whole = components[name]
    return (
        f"<details><summary>Fields of {escaped(name)}</summary>"
        f"{prose(whole.get('description', ''))}"
        f"{_listed(whole, components, (*within, name))}</details>"
    )


def _not_null(schema: Schema) -> Schema:
    """Return the alternative that is a value, where the other is null."""
    found: list[Schema] = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return found[0] if len(found) == 1 else schema


def _type(schema: Schema, components: Components) -> str:
    if alternatives := schema.get("anyOf"):
        return " or ".join(_type(each, components) for each in alternatives)
    if name := name_of(schema):
        return f'<a href="#{anchor(name)}">{escaped(name)}</a>'
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), components)}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {_type(inner, components)}"
    if form := schema.get("format"):
        kind = f"{kind} ({form})"
    return escaped(kind)


def _json_text(value: object) -> str:
    """Return a value as in JSON, text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value)
