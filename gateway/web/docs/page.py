"""The whole page: contents, what the document says as a whole, operations by tag, schemas."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from msgspec import Struct

from gateway.web.docs import fields, operations, requests
from gateway.web.docs.languages import LANGUAGES
from gateway.web.docs.markup import code, escaped, inline, joined, prose
from gateway.web.problem_kinds import KINDS

Document = Mapping[str, Any]


class Page(Struct, frozen=True):
    """A page, and the header lines that it is sent with, each ended by CR LF."""

    html: bytes
    head: str


def page(document: Document) -> Page:
    """Return the page of an OpenAPI document, which must have tags for all operations."""
    style = resources.files(__package__).joinpath("style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    head = (
        f"Content-Security-Policy: {policy}\r\n"
        "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    )
    return Page(_html(document, style).encode(), head)


def _html(document: Document, style: str) -> str:
    info, components = document["info"], document["components"]["schemas"]
    title = f"{info['title']} {info['version']}"
    contents = _contents(document)
    sections = [
        _tag(tag, document, components) for tag in document["tags"] if _of_tag(document, tag)
    ]
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}: HTTP API</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="bar">
<a class="name" href="#content">{escaped(info["title"])} <span>{escaped(info["version"])}</span></a>
{_choice()}
</header>
<div class="page">
<nav class="side" aria-label="Contents">
{contents}
</nav>
<main id="content" tabindex="-1">
<section class="intro">
<h1>{escaped(info["title"])}</h1>
<p class="lead">{inline(info["summary"])}</p>
<details class="folded-contents"><summary>Contents</summary>
<nav aria-label="Contents">
{contents}
</nav>
</details>
{prose(info["description"])}
{_start(document)}
</section>
{joined(sections)}
{_schemas(components)}
{_problems()}
</main>
</div>
</body>
</html>
"""


def _choice() -> str:
    """Return the choice of a language, which the style sheet follows."""
    options = [
        f'<input type="radio" name="language" id="in-{each.name}"{" checked" * (not number)}>'
        f'<label for="in-{each.name}">{each.title}</label>'
        for number, each in enumerate(LANGUAGES)
    ]
    return (
        '<fieldset class="choice"><legend>Language of the examples</legend>\n'
        f"{joined(options)}\n</fieldset>"
    )


def _of_tag(document: Document, tag: Mapping[str, str]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [each for each in _operations(document) if tag["name"] in each[2]["tags"]]


def _operations(document: Document) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Iterate over method, path and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _contents(document: Document) -> str:
    groups = ['<li><a href="#start">Start</a></li>', '<li><a href="#keys">Keys</a></li>']
    for tag in document["tags"]:
        links = [
            f'<li><a href="#{escaped(operation["operationId"])}">{inline(operation["summary"])}'
            "</a></li>"
            for _, _, operation in _of_tag(document, tag)
        ]
        if links:
            groups.append(
                f'<li><a href="#{_anchor(tag)}">{escaped(tag["name"])}</a>'
                f"<ul>{joined(links)}</ul></li>"
            )
    groups.append('<li><a href="#schemas">Schemas</a></li>')
    groups.append('<li><a href="#problems">Problems</a></li>')
    return f"<ul>{joined(groups)}</ul>"


def _anchor(tag: Mapping[str, str]) -> str:
    return f"tag-{tag['name'].lower().replace(' ', '-')}"


def _start(document: Document) -> str:
    url = document["servers"][0]["url"]
    address = "http://127.0.0.1:8080" if url == "/" else url
    note = "" if url != "/" else " The first is where this page comes from."
    lines = f"export {requests.URL}={address}\nexport {requests.KEY}=tg_…\n"
    (scheme,) = document["components"]["securitySchemes"].values()
    return f"""\
<h2 id="start">Start</h2>
<p>Every example reads two variables of the environment.{note}
<a href="openapi.json">The document behind this page</a> is OpenAPI 3.1: generators make clients \
from it.</p>
{code(lines, "Variables that the examples read")}
<h2 id="keys">Keys</h2>
{prose(scheme["description"])}"""


def _tag(tag: Mapping[str, str], document: Document, components: fields.Components) -> str:
    shown = [
        operations.shown(method, path, operation, components)
        for method, path, operation in _of_tag(document, tag)
    ]
    return f"""\
<section aria-labelledby="{_anchor(tag)}">
<h2 id="{_anchor(tag)}">{escaped(tag["name"])}</h2>
{prose(tag["description"])}
{joined(shown)}
</section>"""


def _schemas(components: fields.Components) -> str:
    shown = [_schema(name, schema, components) for name, schema in sorted(components.items())]
    return f"""\
<section aria-labelledby="schemas">
<h2 id="schemas">Schemas</h2>
{joined(shown)}
</section>"""


def _schema(name: str, schema: fields.Schema, components: fields.Components) -> str:
    if fields.is_object(schema):
        content = fields.listed(schema, components)
    else:
        content = f"<p>One of {fields.values(schema, components)}.</p>"
    anchor = fields.anchor(name)
    return (
        f'<article class="schema" id="{anchor}" aria-labelledby="{anchor}-title">'
        f'<h3 id="{anchor}-title"><a href="#{anchor}">{escaped(name)}</a></h3>\n'
        f"{prose(schema.get('description', ''))}\n{content}</article>"
    )


def _problems() -> str:
    rows = [
        f'<div id="{fields.problem_anchor(name)}"><dt><code>/problems/{escaped(name)}</code> '
        f'<span class="type">{kind.status}, {escaped(kind.title)}</span></dt>'
        f"<dd>{prose(kind.meaning)}{prose(kind.remedy)}</dd></div>"
        for name, kind in sorted(KINDS.items(), key=lambda each: each[1].status)
    ]
    return f"""\
<section aria-labelledby="problems">
<h2 id="problems">Problems</h2>
<p>Every <code>type</code> of an error: when it is answered, and what to do then.</p>
<dl class="fields">
{joined(rows)}
</dl>
</section>"""
