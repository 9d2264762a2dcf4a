"""Targets: read from the file, wrong ones refused with the way out, passwords never shown."""

from pathlib import Path

import pytest

from gateway.runtime import settings, settings_source
from gateway.runtime.settings import Settings, SettingsError
from gateway.runtime.settings_targets import Target

_BASE = {"TIDEGATE_DATABASE_URL": "postgresql://tidegate@db/tidegate"}
_WEBHOOK = """
[[targets]]
name = "wms"
kind = "webhook"
url = "https://wms.example.com/in"
secrets = ["env:WMS"]
"""
_STREAM = '[[targets]]\nname = "bus"\nkind = "redis_stream"\nurl = "redis://:Tr0ub4dor@r:6379/0"\n'
_KAFKA = '[[targets]]\nname = "log"\nkind = "kafka"\nurl = "kafka://k1:9092,k2:9092"\n'


def _load(text: str, directory: Path) -> Settings:
    path = directory / "some.toml"
    path.write_text(text, "utf-8")
    return settings_source.load({**_BASE, "TIDEGATE_CONFIG": str(path)})


def test_a_target_is_read_from_the_file(tmp_path: Path) -> None:
    loaded = _load(_WEBHOOK + 'topics = ["order.paid"]\nregions = ["CN/广东省"]\n', tmp_path)
    assert loaded.targets == [
        Target(
            name="wms",
            kind="webhook",
            url="https://wms.example.com/in",
            secrets=["env:WMS"],
            topics=["order.paid"],
            regions=["CN/广东省"],
        )
    ]


@pytest.mark.parametrize("text", [_WEBHOOK, _STREAM, _KAFKA, _WEBHOOK + _STREAM + _KAFKA])
def test_every_kind_can_be_configured(text: str, tmp_path: Path) -> None:
    assert len(_load(text, tmp_path).targets) == text.count("[[targets]]")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (_WEBHOOK + _WEBHOOK, "wms is listed twice"),
        (_WEBHOOK + 'channels = ["wbe"]', "unknown channels wbe"),
        (_WEBHOOK + 'regions = ["China"]', "a region is written CN"),
        (_WEBHOOK + 'regions = ["CN/ 广东省"]', "a region is written CN"),
        (_WEBHOOK + 'topics = ["order.payed"]', "must be one of order.accepted"),
        (_WEBHOOK + "retry_first_s = 60\nretry_max_s = 5", "must not be above retry_max_s"),
        (_WEBHOOK + "attempts_max = 0", "attempts_max must be a whole number from 1"),
        (_WEBHOOK + "retries = 3", "there is no retries: is it misspelt"),
        (_WEBHOOK.replace("https://wms", "https://me:pw@wms"), "without a password"),
        (_WEBHOOK.replace("https://", "ftp://"), "url must be written https://"),
        (_WEBHOOK.replace('["env:WMS"]', "[]"), "a webhook is signed"),
        (_WEBHOOK.replace("webhook", "carrier_pigeon"), "must be one of kafka"),
        (_STREAM.replace("redis://", "http://"), "url must be written redis://"),
        (_STREAM + 'secrets = ["env:X"]', "leave them out"),
        (_KAFKA.replace(":9092,", ","), "url must be written kafka://"),
    ],
)
def test_a_wrong_target_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=complaint):
        _load(text, tmp_path)


def test_neither_secrets_nor_passwords_are_shown(tmp_path: Path) -> None:
    shown = settings.shown(_load(_WEBHOOK + _STREAM, tmp_path))["targets"]
    assert [target["secrets"] for target in shown] == [["configured"], []]
    assert "Tr0ub4dor" not in str(shown)
    assert shown[0]["url"] == "https://wms.example.com/in"


_ACCOUNT = """
[[accounts]]
provider = "standard_webhooks"
name = "{name}"
channels = ["web"]
secrets = ["env:WMS_WORD"]
options = {options}
"""


@pytest.mark.parametrize(
    ("name", "options", "is_right"),
    [
        ("wms", "{}", True),
        ("warehouse", '{ target = "wms" }', True),
        ("warehouse", "{}", False),
        # It speaks for another.
        ("wms", '{ target = "erp" }', False),
    ],
)
def test_who_accepts_by_callback_has_an_account_that_speaks_for_it(
    name: str, options: str, is_right: bool, tmp_path: Path
) -> None:
    text = _WEBHOOK + 'accepts = "callback"\n' + _ACCOUNT.format(name=name, options=options)
    if is_right:
        assert _load(text, tmp_path).targets[0].accepts == "callback"
        return
    with pytest.raises(SettingsError, match="wms accepts by callback, and no account speaks"):
        _load(text, tmp_path)
