"""The examples of /docs are programs that run: each is run as it is shown, against a gateway."""

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.web.docs import requests
from gateway.web.docs.languages import LANGUAGES, Language, program
from gateway.web.docs.requests import Example
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web import toolchains
from tests.web.support import Wire, order_bytes

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.servers

#: Of each kind: without a key, with one, with a variable inside the path, with a body.
HEALTH = Example("GET", "/healthz", needs_key=False)
LIST = Example("GET", "/v1/orders", needs_key=True)
EVENTS = Example("GET", "/v1/orders/{id}/events", needs_key=True)
REMARK = Example(
    "PATCH", "/v1/orders/{id}/remark", needs_key=True, body='{"remark": "it\'s \\"new\\" $HOME 茶"}'
)
STREAM = Example("GET", "/v1/stream", needs_key=True)


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_toolchain_is_here(language: Language) -> None:
    if not toolchains.is_here(language):
        pytest.skip(f"{language.title} is not installed: its examples were not run")


def _variables(url: str, site: Site, **more: str) -> dict[str, str]:
    return {"TIDEGATE_URL": url, "TIDEGATE_API_KEY": site.token, **more}


async def test_an_order_is_placed_once_whatever_happens_to_the_answers(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", tmp_path: Path
) -> None:
    """After 503, a time-out and 429 each program sends the same request under the same key."""

    async def place(language: Language, url: str) -> str:
        order_no = f"doc-{language.name}"
        ran = await toolchains.run(
            language,
            program("place_order", language),
            tmp_path / language.name,
            _variables(url, site, ORDER_NO=order_no),
        )
        assert ran.status == 0, f"{language.title}: {ran.err}"
        placed = json.loads(ran.out)
        assert placed["order_no"] == order_no
        id_: str = placed["id"]
        return id_

    async with toolchains.failing_path(site.url) as path:
        ids = await toolchains.in_each(lambda language: place(language, path.url))
        for language, _ in ids:
            attempts = path.attempts[f"web-doc-{language.name}"]
            assert len(attempts) >= 4, language.title
            assert len({attempt.body for attempt in attempts}) == 1, language.title
            waited_s = [
                after.came_s - before.answered_s for before, after in itertools.pairwise(attempts)
            ]
            # A second was asked for, by the first answer and by the third.
            assert waited_s[0] > 0.9, language.title
            assert waited_s[2] > 0.9, language.title
    # Once more, without any fault: the original result.
    assert await toolchains.in_each(lambda language: place(language, site.url)) == ids
    stored = await ledger.fetch("SELECT id FROM orders WHERE order_no LIKE 'doc-%'")
    assert sorted(str(row["id"]) for row in stored) == sorted(id_ for _, id_ in ids)


async def test_a_program_that_is_refused_says_why_and_ends(site: Site, tmp_path: Path) -> None:
    variables = _variables(site.url, site) | {"TIDEGATE_API_KEY": "tg_wrong"}

    async def refused(language: Language) -> toolchains.Ran:
        source = program("place_order", language)
        return await toolchains.run(language, source, tmp_path / language.name, variables)

    for language, ran in await toolchains.in_each(refused):
        assert ran.status != 0, language.title
        assert "/problems/unauthorised" in ran.out + ran.err, language.title


async def test_each_kind_of_request_works_in_each_language(
    site: Site, wire: Wire, tmp_path: Path
) -> None:
    placed = (await wire.submit(order_bytes())).json["id"]
    variables = _variables(site.url, site, ORDER_ID=placed)

    async def answers(language: Language) -> list[str]:
        outs = []
        for number, example in enumerate((HEALTH, LIST, EVENTS, REMARK)):
            ran = await toolchains.run(
                language, language.write(example), tmp_path / f"{language.name}{number}", variables
            )
            assert ran.status == 0, f"{language.title}, {example.path}: {ran.err}"
            outs.append(ran.out)
        return outs

    for language, (health, page, events, remark) in await toolchains.in_each(answers):
        assert json.loads(health) == {"status": "ok"}, language.title
        assert placed in {order["id"] for order in json.loads(page)["orders"]}, language.title
        assert json.loads(events)["events"][0]["action"], language.title
        assert json.loads(remark)["id"] == placed, language.title
    shown = (await wire.ask("GET", f"/v1/orders/{placed}")).json
    assert shown["remark"] == json.loads(REMARK.body)["remark"]


async def test_a_stream_is_shown_event_by_event_in_each_language(
    site: Site, tmp_path: Path
) -> None:
    async def first(language: Language) -> bytes:
        return await toolchains.first_output(
            language,
            language.write(STREAM),
            tmp_path / language.name,
            _variables(site.url, site),
            until=b"event: tick",
        )

    for language, out in await toolchains.in_each(first):
        assert b"retry: " in out, language.title


async def test_a_request_that_fails_ends_with_an_error(site: Site, tmp_path: Path) -> None:
    missing = _variables(site.url, site, ORDER_ID="00000000-0000-7000-8000-000000000000")

    async def failing(language: Language) -> toolchains.Ran:
        return await toolchains.run(
            language, language.write(EVENTS), tmp_path / language.name, missing
        )

    for language, ran in await toolchains.in_each(failing):
        assert ran.status != 0, language.title


def test_the_go_programs_are_formatted(tmp_path: Path) -> None:
    gofmt = shutil.which("gofmt")
    if gofmt is None:
        pytest.skip("gofmt is not installed")
    (go,) = [language for language in LANGUAGES if language.name == "go"]
    for number, source in enumerate(
        [program("place_order", go), *map(requests.go, (HEALTH, LIST, EVENTS, REMARK))]
    ):
        path = tmp_path / f"{number}.go"
        path.write_text(source, "utf-8")
        done = subprocess.run(
            [gofmt, "-d", str(path)], capture_output=True, text=True, timeout=HANG_S, check=True
        )
        assert done.stdout == ""
