"""Comments of the source as documentation: written once, beside the code, read here.

``# waiting for its order`` behind an element of a closed list says what the element means, as does
the comment at the end of a statement for the whole of it.
"""

import ast
import inspect
import tokenize
from io import StringIO
from types import ModuleType


def trailing(source: str) -> dict[int, str]:
    """Return the comments that stand behind code, by their line, without the mark.

    A comment on the next line goes on with it, unless it belongs to what follows (``#:``).
    """
    lines = source.splitlines()
    found: dict[int, str] = {}
    goes_on: dict[int, int] = {}
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, text = token.start[0], token.string.lstrip("#: ").rstrip()
        if lines[line - 1][: token.start[1]].strip():
            found[line] = text
            goes_on[line + 1] = line
        elif (begun := goes_on.get(line)) and not token.string.startswith("#:"):
            found[begun] += f" {text}"
            goes_on[line + 1] = begun
    return found


def assignments(module: ModuleType) -> dict[str, ast.expr]:
    """Return what is assigned to each name at the top of the module."""
    found: dict[str, ast.expr] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value is not None
        ):
            found[statement.target.id] = statement.value
    return found


def elements(module: ModuleType, name: str) -> dict[str, str]:
    """Return the texts in what is assigned to ``name``, each with the comment behind it.

    Raises ``LookupError`` for one without a comment: a closed list says what each element means.
    """
    behind = trailing(inspect.getsource(module))
    found = {}
    for node in ast.walk(assignments(module)[name]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.lineno not in behind:
                raise LookupError(
                    f"{module.__name__}.{name}: {node.value} has no comment behind it"
                )
            found[node.value] = behind[node.lineno]
    return found
