"""JSON schemas of the types that the handlers use, as every generator of clients reads them."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

Schema = dict[str, Any]

_REF = "#/components/schemas/"
#: Python's ``$`` also matches before a final newline. This makes it match at the end alone, as the
#: ``$`` of ECMAScript, RE2 and Rust does, which do not all know look-aheads.
_PYTHON_END = r"$(?!\n)"
#: Groups with a question mark, except plain ones, references to groups, and Python's ``\\Z``.
_NOT_PORTABLE = re.compile(r"\(\?(?!:)|\\[1-9Zk]")
#: Money as clients should write it.
_DECIMAL = r"^[0-9]{1,12}(?:\.[0-9]{1,18})?$"
#: Keywords whose values are data and not schemas.
_DATA = frozenset({"enum", "const", "default", "examples"})


class Schemas:
    """The schemas of all types of a document; ``components`` has those with a name."""

    def __init__(self, types: Iterable[object], *, named: Mapping[str, object]) -> None:
        """``named``: closed lists of values that get a component of their own, by its name."""
        listed = [each for each in types if _is_type(each)]
        schemas, components = msgspec.json.schema_components(listed, ref_template=_REF + "{name}")
        self._names = {frozenset(get_args(literal)): name for name, literal in named.items()}
        self._known: dict[str, Schema] = {
            repr(each): self._tidy(schema) for each, schema in zip(listed, schemas, strict=True)
        }
        self.components: dict[str, Schema] = {
            name: self._tidy(schema) for name, schema in components.items()
        }
        for name, literal in named.items():
            self.components[name] = {"title": name, "type": "string", "enum": [*get_args(literal)]}

    def of(self, schema: object) -> Schema:
        """Return the schema of a type, or a schema that was written by hand."""
        if isinstance(schema, dict):
            tidied: Schema = self._tidy(schema)
            return tidied
        return self._known[repr(schema)]

    def _tidy(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._tidy(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if name := self._names.get(frozenset(schema.get("enum", ()))):
            rest = {key: value for key, value in schema.items() if key not in ("enum", "type")}
            return rest | {"$ref": _REF + name}
        tidied = {
            key: value if key in _DATA else self._tidy(value) for key, value in schema.items()
        }
        if "properties" in schema:
            # A property may have the name of a keyword.
            fields = schema["properties"].items()
            tidied["properties"] = {name: self._tidy(value) for name, value in fields}
        if isinstance(pattern := schema.get("pattern"), str):
            tidied["pattern"] = portable(pattern)
        if isinstance(text := schema.get("description"), str):
            tidied["description"] = _markdown(text)
        if tidied.get("format") == "decimal":
            # openapi-generator makes a float of it in Go, and code that does not compile.
            del tidied["format"]
            tidied["pattern"] = _DECIMAL
        if tidied.get("type") == "object" and "properties" not in tidied:
            # So it is without a word, but some generators take silence for "of unknown type".
            tidied.setdefault("additionalProperties", True)
        if all(isinstance(value, str) for value in schema.get("enum", (None,))):
            tidied["type"] = "string"
        return _described_inside(tidied)


def portable(pattern: str) -> str:
    """Return an equal pattern that ECMAScript, RE2 and Rust's regex read the same way.

    Raises ``ValueError`` for one that has look-arounds or back-references.
    """
    plain = pattern.replace(_PYTHON_END, "$")
    if _NOT_PORTABLE.search(plain):
        raise ValueError(f"not every client can compile the pattern {pattern}")
    return plain


def _described_inside(schema: Schema) -> Schema:
    """Return a schema that says what a nullable value is where it says its type.

    openapi-generator 7.26 takes a nullable plain type for the same as every other mention of that
    type, and makes them all nullable, as soon as there is a description beside the union.
    """
    match schema:
        case {"description": text, "anyOf": [{"type": _} as plain, {"type": "null"} as null]}:
            rest = {key: value for key, value in schema.items() if key != "description"}
            return rest | {"anyOf": [{"description": text} | plain, null]}
    return schema


def _markdown(text: str) -> str:
    """Return a docstring as CommonMark, without its indentation."""
    return inspect.cleandoc(text).replace("``", "`")


def _is_type(schema: object) -> bool:
    return schema is not None and not isinstance(schema, dict)
