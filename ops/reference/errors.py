"""The page of the errors: kinds of problems, reasons of rejection and parking, exit statuses."""

from gateway.domain import following
from gateway.providers import contract
from gateway.web.problem_kinds import KINDS
from ops.reference import comments, markdown

_INTRODUCTION = """\
Every error answer of the API is `application/problem+json` ([RFC
9457](https://www.rfc-editor.org/rfc/rfc9457)): `type`, `title` and `status` are those of the list
below; `detail` says more in words; `errors` has each wrong field with its reason; `context` what
the request conflicts with.
Callbacks of configured accounts are answered as their provider expects it, see the pages of the
[providers](../../../README.md#providers).
"""
_REJECTED = """\
A callback is rejected, and counted in `tidegate_refused_callbacks_total`, for one of these
reasons. `tidegate callbacks refused` lists those that are stored; the page of each provider names
the most common cause.
"""
_PARKED = """\
What is genuine and cannot be booked is parked for a person, and counted in
`tidegate_parked_total`, for one of these reasons. Nothing is dropped.
"""
_EXIT = """\
Of every `tidegate` command: 0 is success; 1 is a failure while running, and the same command may
succeed later; 2 is a wrong option or setting, and nothing was tried. What differs stands in the
command's `--help`, see [commands](commands.md).
"""


def page() -> str:
    """Return the page."""
    problems = [
        f"### `{name}`\n\n**{kind.status} {kind.title}** · `/problems/{name}`\n\n"
        f"{kind.meaning}\n\nWhat to do: {kind.remedy}"
        for name, kind in sorted(KINDS.items(), key=lambda item: (item[1].status, item[0]))
    ]
    return markdown.page(
        "Errors",
        _INTRODUCTION,
        "## Problems",
        *problems,
        "## Reasons of rejected callbacks",
        _REJECTED,
        _list(comments.elements(contract, "REASONS")),
        "## Reasons of parked entries",
        _PARKED,
        _list(comments.elements(following, "ParkReason")),
        "## Exit statuses",
        _EXIT,
    )


def _list(meanings: dict[str, str]) -> str:
    rows = [(markdown.code(name), meaning) for name, meaning in meanings.items()]
    return markdown.table(("reason", "meaning"), rows)
