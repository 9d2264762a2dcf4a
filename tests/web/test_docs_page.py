"""The page /docs: whole, safe, and fit for a keyboard and a screen reader."""

import base64
import hashlib
import itertools
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from gateway.web.docs import languages, operations, page
from gateway.web.docs.page import Page
from gateway.web.problem_kinds import KINDS
from tests.web import documents
from tests.web.documents import Json

CLIENTS, OPERATORS = documents.of_clients(), documents.of_operators()
BOTH = {"clients": page.page(CLIENTS), "operators": page.page(OPERATORS)}
each = pytest.mark.parametrize("shown", BOTH.values(), ids=BOTH)
_VOID = {"meta", "input", "link", "br", "wbr", "hr", "img"}


class Tags(HTMLParser):
    """Every tag with its attributes, the text inside each kind, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.text[tag][-1] += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(shown: Page) -> Tags:
    return Tags(shown.html.decode())


@each
def test_tags_are_balanced_and_ids_unique(shown: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in read(shown).tags if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []


@each
def test_every_link_leads_to_a_place_on_the_page_or_to_the_document(shown: Page) -> None:
    tags = read(shown)
    ids = {attributes["id"] for _, attributes in tags.tags if "id" in attributes}
    targets = {attributes["href"] for attributes in tags.of("a")}
    assert targets - {f"#{name}" for name in ids} == {"openapi.json"}


@each
def test_nothing_runs_and_nothing_is_fetched(shown: Page) -> None:
    for tag, attributes in read(shown).tags:
        assert tag not in {"script", "link", "img", "iframe", "form", "object", "base"}
        assert not {"src", "srcset", "style", "action"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    style = read(shown).text["style"][0]
    assert "url(" not in style
    assert "@import" not in style


@each
def test_the_policy_allows_the_one_style_and_nothing_else(shown: Page) -> None:
    lines = dict(line.split(": ", 1) for line in shown.head.split("\r\n") if line)
    style = read(shown).text["style"][0].encode()
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert lines["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    assert "unsafe" not in shown.head
    assert lines["X-Content-Type-Options"] == "nosniff"


@each
def test_headings_go_down_one_level_at_a_time(shown: Page) -> None:
    levels = [int(tag[1]) for tag, _ in read(shown).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@each
def test_what_a_screen_reader_needs_is_there(shown: Page) -> None:
    tags = read(shown)
    assert tags.of("html") == [{"lang": "en"}]
    assert tags.of("a")[0] == {"class": "skip", "href": "#content"}
    assert len(tags.of("main")) == 1
    assert all(attributes["aria-label"] for attributes in tags.of("nav"))
    # What scrolls can be reached by the keyboard and says what it is.
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in tags.of("pre"))
    labelled = {attributes["for"] for attributes in tags.of("label")}
    assert {attributes["id"] for attributes in tags.of("input")} == labelled
    assert len(tags.of("fieldset")) == len(tags.of("legend")) == 1
    ids = {attributes["id"] for _, attributes in tags.tags if "id" in attributes}
    assert {a["aria-labelledby"] for _, a in tags.tags if "aria-labelledby" in a} <= ids


def _sections(shown: Page) -> dict[str, str]:
    found = re.findall(
        r'<article class="operation" id="(\w+)".*?</article>', shown.html.decode(), re.S
    )
    parts = re.split(r'<article class="operation" id="\w+"', shown.html.decode())[1:]
    return dict(zip(found, parts, strict=True))


@pytest.mark.parametrize(("described", "name"), [(CLIENTS, "clients"), (OPERATORS, "operators")])
def test_every_operation_is_shown_with_its_parts(described: Json, name: str) -> None:
    sections = _sections(BOTH[name])
    shown = {operation["operationId"] for _, _, operation in documents.operations(described)}
    assert set(sections) == shown
    for template, method, operation in documents.operations(described):
        section = sections[operation["operationId"]]
        plain = section.replace("<wbr>", "")
        assert f"<code>{template}</code>" in plain
        assert method.upper() in section
        for parameter in operation.get("parameters", ()):
            assert f"<dt><code>{parameter['name']}</code>" in section
        for kind in operation.get("requestBody", {}).get("content", {}):
            assert f"<code>{kind}</code>" in section
        for status in operation["responses"]:
            assert f">{status}</dt>" in section


@pytest.mark.parametrize(("described", "name"), [(CLIENTS, "clients"), (OPERATORS, "operators")])
def test_every_operation_has_its_example_in_each_language(described: Json, name: str) -> None:
    sections = _sections(BOTH[name])
    for template, _, operation in documents.operations(described):
        section = sections[operation["operationId"]]
        if template.startswith("/v1/callbacks/"):
            assert "tidegate simulate" in section
            continue
        for language in languages.LANGUAGES:
            assert f'<div class="example {language.name}">' in section, language.name


def test_fields_of_an_order_are_shown_with_their_bounds() -> None:
    section = _sections(BOTH["clients"])["submitOrder"]
    for text in (
        "order_no",
        "1 to 64 characters",
        "1 to 200 items",
        "up to 1024 characters",
        "^[!-~]+$",
        "unit_price",
        "recipient",
    ):
        assert text in section
    assert "Fields of Item" in section


def test_every_problem_is_listed() -> None:
    text = BOTH["clients"].html.decode()
    assert all(f"/problems/{kind}<" in text for kind in KINDS)


def test_labels_are_escaped_once() -> None:
    labels = [attributes["aria-label"] for attributes in read(BOTH["clients"]).of("pre")]
    assert "Change an order's remark, in Go" in labels


def test_a_problem_of_an_answer_leads_to_its_explanation() -> None:
    section = _sections(BOTH["clients"])["submitOrder"]
    assert '<a href="#problem-key-reused"><code>key-reused</code></a>' in section
    assert b'<div id="problem-key-reused"><dt>' in BOTH["clients"].html


def test_what_a_document_says_is_text_and_never_markup() -> None:
    hostile = "</code><script>alert(1)</script>\"'`<b>`&amp;"
    described = documents.of_clients()
    described["info"]["description"] = described["info"]["title"] = hostile
    for _, _, operation in documents.operations(described):
        operation["summary"] = operation["description"] = hostile
        for parameter in operation.get("parameters", ()):
            parameter["description"] = parameter["name"] = hostile
    for schema in described["components"]["schemas"].values():
        schema["description"] = hostile
        schema["properties"] = {hostile: {"type": "string", "pattern": hostile, "default": hostile}}
    tags = read(page.page(described))
    assert not tags.of("script")
    assert not tags.of("b")


def test_a_configured_address_is_in_the_example_of_the_start() -> None:
    described = documents.of_clients(server="https://orders.example")
    assert b"export TIDEGATE_URL=https://orders.example\n" in page.page(described).html


def test_the_style_follows_every_language() -> None:
    style = read(BOTH["clients"]).text["style"][0]
    for language in languages.LANGUAGES:
        hides = f":root:has(#in-{language.name}:checked) .example:not(.{language.name})"
        assert hides in style


def test_every_program_is_there_in_each_language() -> None:
    for name in operations.PROGRAMS.values():
        for language in languages.LANGUAGES:
            assert "Idempotency-Key" in languages.program(name, language)


def test_sample_values_are_valid() -> None:
    import jsonschema_rs

    from gateway.web.docs import samples

    for described in (CLIENTS, OPERATORS):
        components = described["components"]["schemas"]
        for name in components:
            schema = {"$ref": f"#/components/schemas/{name}"}
            value = samples.sample(schema, components)
            validator = jsonschema_rs.Draft202012Validator(
                schema | {"components": described["components"]}
            )
            assert [str(error) for error in validator.iter_errors(value)] == [], name
