"""Expressions of screening rules: read once, checked against what an order has, and bounded.

``rule_engine`` reads an expression and checks its types. What it evaluates to is decided here,
because the library raises where a field is absent, folds constants of any size while it reads, and
has regular expressions: its checked tree becomes functions, one call for each of its nodes.

- What is absent has no value: a comparison with it is false, also ``!=``; ``== null`` asks for it.
  An empty text counts as absent.
- Numbers are whole minor units or counts, texts are compared by their characters.
- No loop, no regular expression, no power: the cost of an expression is bounded by its length.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar

CHARS_MAX = 500
TOKENS_MAX = 200
DEPTH_MAX = 20

T = TypeVar("T")
Kind = Literal["number", "text", "yes_no", "texts", "table"]
#: Returns the value of a node for an order; None: it has none.
Evaluate = Callable[[T], Any]


class Name(NamedTuple, Generic[T]):
    """What an expression may ask of an order, and how it is found; None: the order has none.

    ``is_private``: the value must not be shown.
    """

    kind: Kind
    value: Callable[[T], Any]
    is_private: bool = False


class WrongExpression(ValueError):
    """An expression that cannot be used; the message says where and why."""


class Expression(NamedTuple, Generic[T]):
    """A checked expression: whether it is true of an order, and the names that it uses."""

    is_true: Callable[[T], bool]
    names: tuple[str, ...]


def read(text: str, names: Mapping[str, Name[T]]) -> Expression[T]:
    """Read and check an expression. Raises ``WrongExpression``."""
    _check_tokens(text)
    # The library takes as long to load as a few hundred orders, and most rules need none of it.
    import rule_engine

    kinds = {
        "number": rule_engine.DataType.FLOAT,
        "text": rule_engine.DataType.STRING,
        "yes_no": rule_engine.DataType.BOOLEAN,
        "texts": rule_engine.DataType.ARRAY(rule_engine.DataType.STRING),
        "table": rule_engine.DataType.MAPPING(rule_engine.DataType.STRING),
    }
    context = rule_engine.Context(
        type_resolver={name: kinds[each.kind] for name, each in names.items()},
        mapping_attribute_lookup=False,
    )
    try:
        tree = rule_engine.Rule(text, context=context).statement.expression
        made = _Maker(names).question(tree)
    except rule_engine.errors.SymbolResolutionError as exc:
        hint = f"; is it {exc.suggestion}?" if exc.suggestion else ""
        raise WrongExpression(f"there is no {exc.symbol_name}{hint}") from exc
    except rule_engine.errors.EngineError as exc:
        raise WrongExpression(_reason(exc)) from exc
    except RecursionError as exc:
        raise WrongExpression("is nested too deep") from exc
    return Expression(made, tuple(sorted(context.symbols)))


_TOKEN = re.compile(
    r"""\s+
    | (?P<text>"[^"\\]*"|'[^'\\]*')
    | (?P<number>[0-9]{1,15}(?:\.[0-9]{1,6})?)(?![\w.])
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)(?!["'])
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | ==|!=|<=|>=|<(?!<)|>(?!>)|\?\?|\*(?!\*)|[+\-,.]""",
    re.VERBOSE | re.ASCII,
)
_UNUSABLE = frozenset({"for", "if", "inf", "nan"})


def _check_tokens(text: str) -> None:
    """Raise ``WrongExpression`` unless reading and evaluating the text is cheap."""
    if len(text) > CHARS_MAX:
        raise WrongExpression(f"has {len(text)} characters, and {CHARS_MAX} at most")
    at = count = depth = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found["word"] in _UNUSABLE:
            raise WrongExpression(f"character {at + 1}: {text[at : at + 12]!r} cannot be used here")
        count += not found[0].isspace()
        depth += bool(found["open"]) - bool(found["close"])
        if depth > DEPTH_MAX:
            raise WrongExpression(f"has brackets more than {DEPTH_MAX} deep")
        at = found.end()
    if count > TOKENS_MAX:
        raise WrongExpression(f"has {count} words and signs, and {TOKENS_MAX} at most")


def _reason(exc: Any) -> str:
    token = getattr(exc, "token", None)
    if token is not None:
        return f"character {token.lexpos + 1}: {str(token.value)[:12]!r} was not expected"
    if type(exc).__name__ == "RuleSyntaxError":
        return "ends too early"
    if "data type mismatch" in exc.message:
        return _MIXED
    if "on a MAPPING" in exc.message:
        return 'write attributes["key"]'
    return str(exc.message) or type(exc).__name__


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul,
}  # fmt: skip
#: Nodes whose functions return true or false whatever is absent.
_TRUE_OR_FALSE = frozenset(
    {
        "LogicExpression", "ComparisonExpression", "ArithmeticComparisonExpression",
        "ContainsExpression", "BooleanExpression",
    }
)  # fmt: skip
_MIXED = "compares or adds a number, a text or a yes/no with another kind"


class _Maker(Generic[T]):
    """Makes functions of the library's tree, one for each node."""

    def __init__(self, names: Mapping[str, Name[T]]) -> None:
        self._names = names

    def question(self, node: Any) -> Callable[[T], bool]:
        """Return the function of a node that is true or false: what is absent is false."""
        if node.result_type.name != "BOOLEAN":
            raise WrongExpression(
                "must be true or false, and so must both sides of `and` and `or`: "
                'write country == "CN" or country == "HK"'
            )
        made = self.make(node)
        if type(node).__name__ in _TRUE_OR_FALSE:
            return made
        return lambda order: made(order) is True

    def make(self, node: Any) -> Evaluate[T]:
        """Return the function of a node. Raises ``WrongExpression`` for what has none."""
        made = getattr(self, f"_{type(node).__name__.lower()}", None)
        if made is None:
            raise WrongExpression(f"{type(node).__name__} cannot be used in a rule")
        function: Evaluate[T] = made(node)
        return function

    def _symbolexpression(self, node: Any) -> Evaluate[T]:
        if node.scope is not None:
            raise WrongExpression(f"there is no ${node.name}")
        return self._names[node.name].value

    def _literal(self, node: Any) -> Evaluate[T]:
        value = node.evaluate(None)
        if isinstance(value, Decimal) and value == value.to_integral_value():
            value = int(value)
        return lambda _: value

    _stringexpression = _floatexpression = _booleanexpression = _nullexpression = _literal

    def _arrayexpression(self, node: Any) -> Evaluate[T]:
        if not all(
            type(each).__name__ in ("StringExpression", "FloatExpression") for each in node.value
        ):
            raise WrongExpression("a list has texts or numbers")
        values = frozenset(self.make(each)(None) for each in node.value)  # type: ignore[arg-type]
        return lambda _: values

    def _logicexpression(self, node: Any) -> Evaluate[T]:
        left, right = self.question(node.left), self.question(node.right)
        if node.type == "and":
            return lambda order: left(order) and right(order)
        return lambda order: left(order) or right(order)

    def _unaryexpression(self, node: Any) -> Evaluate[T]:
        if node.type == "not":
            question = self.question(node.right)
            return lambda order: not question(order)
        number = self.make(node.right)
        return lambda order: None if (value := number(order)) is None else -value

    def _comparisonexpression(self, node: Any) -> Evaluate[T]:
        if "NULL" in (node.left.result_type.name, node.right.result_type.name):
            return self._asks_for_null(node)
        if not {node.left.result_type.name, node.right.result_type.name} & {"UNDEFINED"} and (
            node.left.result_type != node.right.result_type
        ):
            raise WrongExpression(_MIXED)
        return self._compared(node)

    def _arithmeticcomparisonexpression(self, node: Any) -> Evaluate[T]:
        if "ARRAY" in (node.left.result_type.name, node.right.result_type.name):
            raise WrongExpression("a list is neither more nor less; ask for its length")
        return self._compared(node)

    def _compared(self, node: Any) -> Evaluate[T]:
        left, right, compare = self.make(node.left), self.make(node.right), _COMPARE[node.type]
        kinds = {node.left.result_type.name, node.right.result_type.name}
        if len(kinds) == 1 and "UNDEFINED" not in kinds:

            def compared_alike(order: T) -> bool:
                a = left(order)
                if a is None:
                    return False
                b = right(order)
                return b is not None and compare(a, b)

            return compared_alike

        def compared(order: T) -> bool:
            a, b = left(order), right(order)
            # Numbers of an order are never floats: they are equal where they are written so.
            return a is not None and b is not None and _kind(a) == _kind(b) and compare(a, b)

        return compared

    def _asks_for_null(self, node: Any) -> Evaluate[T]:
        asked = node.left if node.right.result_type.name == "NULL" else node.right
        if node.type not in ("eq", "ne"):
            raise WrongExpression("null is neither more nor less: write == null")
        value, is_absent = self.make(asked), node.type == "eq"
        return lambda order: (value(order) is None) is is_absent

    def _addexpression(self, node: Any) -> Evaluate[T]:
        if "STRING" in (node.left.result_type.name, node.right.result_type.name):
            raise WrongExpression("texts cannot be added")
        left, right, compute = self.make(node.left), self.make(node.right), _COMPUTE[node.type]

        def computed(order: T) -> Any:
            a, b = left(order), right(order)
            is_number = _kind(a) == _kind(b) == "number"
            return compute(a, b) if is_number else None

        return computed

    _subtractexpression = _arithmeticexpression = _addexpression

    def _coalesceexpression(self, node: Any) -> Evaluate[T]:
        left, right = self.make(node.left), self.make(node.right)
        return lambda order: right(order) if (value := left(order)) is None else value

    def _containsexpression(self, node: Any) -> Evaluate[T]:
        kind, inner = (
            node.container.result_type,
            getattr(node.container.result_type, "value_type", None),
        )
        if kind.name == "MAPPING":
            raise WrongExpression('write attributes["key"] != null')
        if (
            inner is not None
            and "UNDEFINED" not in (inner.name, node.member.result_type.name)
            and (inner != node.member.result_type)
        ):
            raise WrongExpression(_MIXED)
        container, member = self.make(node.container), self.make(node.member)

        def contains(order: T) -> bool:
            held, value = container(order), member(order)
            if held is None or value is None or _kind(value) is None:
                return False
            return value in held if not isinstance(held, str) else _is_in(value, held)

        return contains

    def _getitemexpression(self, node: Any) -> Evaluate[T]:
        if node.container.result_type.name != "MAPPING" or node.item.result_type.name != "STRING":
            raise WrongExpression('only attributes have entries: attributes["key"]')
        table, key = self.make(node.container), node.item.evaluate(None)
        return lambda order: _plain((table(order) or {}).get(key))

    def _getattributeexpression(self, node: Any) -> Evaluate[T]:
        of = self.make(node.object)
        match node.name, node.object.result_type.name:
            case "length", ("STRING" | "ARRAY"):
                return lambda order: None if (value := of(order)) is None else len(value)
            case "as_lower", "STRING":
                return lambda order: None if (value := of(order)) is None else value.lower()
            case "as_upper", "STRING":
                return lambda order: None if (value := of(order)) is None else value.upper()
        raise WrongExpression(f".{node.name} cannot be used in a rule")

    def _functioncallexpression(self, node: Any) -> Evaluate[T]:
        asked, texts = node.function, node.arguments
        name = getattr(asked, "name", "")
        if (
            name not in ("starts_with", "ends_with")
            or asked.object.result_type.name != "STRING"
            or len(texts) != 1
            or type(texts[0]).__name__ != "StringExpression"
        ):
            raise WrongExpression(f"{name or 'this'}(…) cannot be used in a rule")
        of, part = self.make(asked.object), texts[0].evaluate(None)
        if name == "starts_with":
            return lambda order: (value := of(order)) is not None and value.startswith(part)
        return lambda order: (value := of(order)) is not None and value.endswith(part)


def _is_in(part: Any, text: str) -> bool:
    return isinstance(part, str) and part in text


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes_no"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, Decimal)) else None


def _plain(value: Any) -> Any:
    """Return a value of free attributes as rules see it: no float, no table, no empty text."""
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    return value if _kind(value) and value != "" else None
