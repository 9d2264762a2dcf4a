"""One operation: what it takes and answers on the left, how to send it on the right."""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.web.docs import fields, requests, samples
from gateway.web.docs.fields import Components
from gateway.web.docs.languages import LANGUAGES, program
from gateway.web.docs.markup import code, escaped, inline, joined, prose
from gateway.web.docs.requests import Example
from gateway.web.problem_kinds import KINDS
from gateway.web.response import PROBLEM

#: Operations whose example is a longer program, by their id.
PROGRAMS = {"submitOrder": "place_order"}

Operation = Mapping[str, Any]
_CODE = re.compile(r"<code>([a-z-]+)</code>")


def shown(method: str, path: str, operation: Operation, components: Components) -> str:
    """Return the section of an operation."""
    name = escaped(operation["operationId"])
    return f"""\
<article class="operation" id="{name}" aria-labelledby="{name}-title">
<div class="described">
<h3 id="{name}-title"><a href="#{name}">{inline(operation["summary"])}</a></h3>
<p class="path"><span class="method {method}">{method.upper()}</span> <code>{_path(path)}</code></p>
{prose(operation.get("description", ""))}
{_parameters(operation, components)}
{_body(operation, components)}
{_answers(operation, components)}
</div>
<div class="tried">
{_examples(method, path, operation, components)}
{_sample_answer(operation, components)}
</div>
</article>"""


def _path(path: str) -> str:
    """Return a path that may be broken before each of its parts."""
    return escaped(path).replace("/", "<wbr>/")


def _parameters(operation: Operation, components: Components) -> str:
    rows = [_parameter(each, components) for each in operation.get("parameters", ())]
    return f'<h4>Parameters</h4>\n<dl class="fields">\n{joined(rows)}\n</dl>' if rows else ""


def _parameter(parameter: Mapping[str, Any], components: Components) -> str:
    flag = ' <span class="required">required</span>' if parameter.get("required") else ""
    schema = parameter["schema"]
    choices = fields.values(schema, components)
    return (
        f"<div><dt><code>{escaped(parameter['name'])}</code> "
        f'<span class="type">{escaped(parameter["in"])}, '
        f"{fields.described(schema, components)}</span>{flag}</dt>"
        f"<dd>{prose(parameter.get('description', ''))}"
        f"{f'<p>One of {choices}.</p>' if choices else ''}</dd></div>"
    )


def _body(operation: Operation, components: Components) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return ""
    kinds = " or ".join(f"<code>{escaped(kind)}</code>" for kind in content)
    schema = next(iter(content.values()))["schema"]
    whole = fields.resolved(schema, components)
    listed = fields.listed(schema, components) if fields.is_object(whole) else ""
    return f"<h4>Body</h4>\n<p>{kinds}</p>\n{prose(whole.get('description', ''))}\n{listed}"


def _answers(operation: Operation, components: Components) -> str:
    rows = [
        _answer(status, response, components) for status, response in operation["responses"].items()
    ]
    return f'<h4>Answers</h4>\n<dl class="answers">\n{joined(rows)}\n</dl>'


def _answer(status: str, response: Mapping[str, Any], components: Components) -> str:
    content = response.get("content", {})
    bodies = [
        f"<code>{escaped(kind)}</code>: {fields.described(each['schema'], components)}"
        for kind, each in content.items()
        # What nearly every error is, is said once, at the top of the page.
        if kind != PROBLEM or len(content) > 1
    ]
    headers = [
        f"<code>{escaped(name)}</code>: {inline(header['description'])}"
        for name, header in response.get("headers", {}).items()
        # And what nearly every answer has.
        if "$ref" not in header
    ]
    notes = joined(f"<li>{each}</li>" for each in (*bodies, *headers))
    return (
        f'<div><dt class="status s{status[0]}">{status}</dt>'
        f"<dd>{_with_links(prose(response['description']))}"
        f"{f'<ul>{notes}</ul>' if notes else ''}</dd></div>"
    )


def _with_links(text: str) -> str:
    """Return a description in HTML whose names of problems lead to what is said of them."""
    return _CODE.sub(
        lambda match: (
            f'<a href="#{fields.problem_anchor(match[1])}">{match[0]}</a>'
            if match[1] in KINDS
            else match[0]
        ),
        text,
    )


def _examples(method: str, path: str, operation: Operation, components: Components) -> str:
    if "x-sentBy" in operation:
        return f'<p class="note">{inline(operation["x-sentBy"])}</p>'
    name = PROGRAMS.get(operation["operationId"])
    example = _example(method, path, operation, components)
    needed = requests.variables(path)
    blocks = []
    for language in LANGUAGES:
        source = program(name, language) if name else language.write(example)
        label = f"{operation['summary']}, in {language.title}"
        blocks.append(
            f'<div class="example {language.name}"><h4>{language.title}</h4>'
            f"{code(source, label)}</div>"
        )
    note = f"<p>Reads {', '.join(f'<code>{each}</code>' for each in needed)} too.</p>"
    return joined([*blocks, note if needed else ""])


def _example(method: str, path: str, operation: Operation, components: Components) -> Example:
    content = operation.get("requestBody", {}).get("content", {})
    body = ""
    if content:
        schema = content["application/json"]["schema"]
        body = json.dumps(samples.sample(schema, components), ensure_ascii=False)
    return Example(method.upper(), path, bool(operation["security"]), body)


def _sample_answer(operation: Operation, components: Components) -> str:
    """Return the first answer with a body as a sample: that of a creation where there is one."""
    answers = operation["responses"].items()
    for status, response in sorted(answers, key=lambda each: each[0] != "201"):
        for kind, content in response.get("content", {}).items():
            value = content.get("example")
            if value is None and kind == "application/json":
                value = samples.sample(content["schema"], components)
            if value:
                text = value if isinstance(value, str) else json.dumps(value, indent=2)
                label = f"Answer {status} to: {operation['summary']}"
                return f"<h4>Answer {status}</h4>\n{code(text, label)}"
    return ""
