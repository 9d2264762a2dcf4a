"""The sample of every provider's page starts as it is pasted, with the secret where it says."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from gateway.runtime import settings_checks
from gateway.runtime.settings import Settings
from gateway.web import accounts

from . import subjects

ROOT = Path(__file__).parents[2]
SAMPLES = [
    *((f"gateway/providers/{name}.md", name) for name in subjects.NAMES),
    ("ops/guides/how-to/connect-shopify.md", "shopify"),
]


@pytest.mark.usefixtures("pooled_keys")
@pytest.mark.parametrize(("page", "name"), SAMPLES)
def test_a_sample_starts_as_it_is_pasted(page: str, name: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text("utf-8")
    (sample, *_) = [
        each for each in re.findall(r"```toml\n(.*?)```", text, re.S) if "[[accounts]]" in each
    ]
    file = tomllib.loads(sample) | {"database_url": "postgresql://tidegate@db/tidegate"}
    ours = subjects.subject(name).account
    (account,) = file["accounts"]
    for n, secret in enumerate(ours.secrets):
        (tmp_path / f"secret{n}").write_text(secret, "utf-8")
    account["secrets"] = [f"file:{tmp_path / f'secret{n}'}" for n in range(len(ours.secrets))]
    # Certificates and keys are no more than places for them there.
    shown = account.setdefault("options", {})
    shown |= {
        option: value
        for option, value in ours.options.items()
        if option in shown and "BEGIN" in repr(value)
    }
    settings = msgspec.convert(file, Settings)
    settings_checks.check(settings)
    assert accounts.build(settings, before={})
