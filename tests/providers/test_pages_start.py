"""What provider pages and guides show of a settings file starts as it is pasted."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.providers import registry
from gateway.runtime import settings_source
from gateway.runtime.settings import Settings
from gateway.web import accounts

from . import subjects

ROOT = Path(__file__).parents[2]
GUIDE = "ops/guides/how-to/accounts-and-channels.md"
SAMPLES = [
    *((f"gateway/providers/{name}.md", name) for name in subjects.NAMES),
    ("ops/guides/how-to/connect-shopify.md", "shopify"),
]
_PEM = re.compile(r"-----BEGIN (.*?)-----.*?-----END \1-----", re.S)
_REFERENCE = re.compile(r'"(env|file):([^"]+)"')


def samples(page: str) -> list[str]:
    """Return the samples of a settings file on a page."""
    return re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)


def _guides() -> list[str]:
    pages = (str(page.relative_to(ROOT)) for page in sorted((ROOT / "ops").rglob("*.md")))
    return [page for page in pages if samples(page)]


def load(sample: str, folder: Path) -> Settings:
    (folder / "tidegate.toml").write_text(sample, "utf-8")
    return settings_source.load(
        {
            "TIDEGATE_CONFIG": str(folder / "tidegate.toml"),
            "TIDEGATE_DATABASE_URL": "postgresql://tidegate@db/tidegate",
        }
    )


@pytest.mark.usefixtures("pooled_keys")
@pytest.mark.parametrize(("page", "name"), SAMPLES)
def test_a_sample_starts_as_it_is_pasted(
    page: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a secret where it says, and with certificates where there are places for them."""
    (sample, *_) = samples(page)
    ours = subjects.subject(name).account
    for kind, where in _REFERENCE.findall(sample):
        if kind == "env":
            monkeypatch.setenv(where, ours.secrets[0])
        else:
            kept = tmp_path / Path(where).name
            kept.write_text(ours.secrets[0], "utf-8")
            sample = sample.replace(where, str(kept))
    sample = _PEM.sub(lambda place: _pem(place[1], ours.options), sample)
    assert accounts.build(load(sample, tmp_path), before={})


def _pem(label: str, options: object) -> str:
    """Return what the account has in a place for PEM of this label."""
    found = [text for text in _texts(options) if f"BEGIN {label}" in text]
    assert found, f"the simulated account has no {label}"
    return found[0].strip()


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)


@pytest.mark.parametrize(
    ("page", "n"), [(page, n) for page in _guides() for n in range(len(samples(page)))]
)
def test_a_sample_of_a_guide_is_read(page: str, n: int, tmp_path: Path) -> None:
    """Its channels are there, and its options are options."""
    for account in load(samples(page)[n], tmp_path).accounts:
        registry.check_options(account.provider, accounts.as_told(account))


@pytest.mark.parametrize("name", subjects.NAMES)
def test_a_page_leads_to_what_channels_and_secrets_are(name: str) -> None:
    page = (ROOT / "gateway" / "providers" / f"{name}.md").read_text("utf-8")
    assert f"]({Path('..') / '..' / GUIDE})" in page


@pytest.mark.parametrize("name", subjects.NAMES)
def test_a_page_tells_the_bounds_of_its_tolerance(name: str) -> None:
    page = (ROOT / "gateway" / "providers" / f"{name}.md").read_text("utf-8")
    for field in msgspec.structs.fields(subjects.options_of(name)):
        if field.name == "tolerance_s":
            (meta,) = field.type.__metadata__
            assert f"| `tolerance_s` | {field.default} |" in page
            assert f" in seconds, from {meta.ge} to {meta.le}" in page
