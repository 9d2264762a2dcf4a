"""The sender of each kind of target, and what is said of settings that are wrong."""

import base64
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.clients.kafka import KafkaSender
from gateway.clients.webhook import WebhookSender
from gateway.runtime.clock import SystemClock
from gateway.runtime.settings import SettingsError
from gateway.runtime.settings_targets import Target
from gateway.stores.redis.order_stream import OrderStream
from tests.clients.conftest import pem  # noqa: F401 - used by its name
from workers.senders import open_sender

_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
_ENVIRON = {
    "SECRET": _SECRET,
    "OTHER": "s3cret",
    "URL": "redis://:p@10.0.0.1:6379/0",
    "WRONG_URL": "http://x",
}


def webhook(**changes: Any) -> Target:
    fields = {"url": "https://wms.example/hook", "secrets": ["env:SECRET"]}
    return Target(name="wms", kind="webhook", **{**fields, **changes})


def kafka(**options: Any) -> Target:
    return Target(name="bus", kind="kafka", url="kafka://a:9092,b:9092", options=options)


def stream(url: str = "redis://127.0.0.1:6379/0", **options: Any) -> Target:
    return Target(name="engine", kind="redis_stream", url=url, options=options)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (webhook(), WebhookSender),
        (webhook(options={"bearer_token": "env:OTHER"}), WebhookSender),
        (webhook(url="http://10.0.0.9:8080/", private_addresses=["10.0.0.0/8"]), WebhookSender),
        (stream(), OrderStream),
        (stream("env:URL", stream="s", length_max=1000), OrderStream),
        (kafka(), KafkaSender),
        (kafka(sasl_mechanism="PLAIN", sasl_username="u", sasl_password="env:OTHER"), KafkaSender),
        (kafka(is_tls=True, topic="orders.v1"), KafkaSender),
    ],
)
async def test_each_kind_has_its_sender_that_connects_to_nothing(
    target: Target, kind: type
) -> None:
    sender = open_sender(target, clock=SystemClock(), environ=_ENVIRON)
    assert isinstance(sender, kind)
    await sender.close()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (webhook(secrets=["env:NONE"]), "targets: wms: secret env:NONE is empty or not set"),
        (webhook(secrets=["env:OTHER"]), "begins neither with whsec_ nor"),
        (webhook(secrets=["env:SECRET", "env:SECRET"]), "both secrets are the same"),
        (webhook(url="http://wms.example/hook"), "use https://, or allow the private network"),
        (webhook(url="https://0x7f000001/"), "no IP address in its usual form"),
        (webhook(private_addresses=["10.0.0.1/8"]), "10.0.0.1/8 is no network"),
        (webhook(options={"token": "x"}), "options: there is no token: is it misspelt?"),
        (webhook(options={"bearer_token": "s3cret"}), "never as its value"),
        (webhook(options={"ca_file": "/nowhere"}), "ca_file /nowhere cannot be read"),
        (stream(stream=""), "options: stream must be"),
        (stream(length_max=-1), "options: length_max must be"),
        (stream("env:WRONG_URL"), "what env:WRONG_URL holds is not written redis://"),
        (kafka(topic="a b"), "options: topic must be"),
        (kafka(sasl_mechanism="GSSAPI"), "options: sasl_mechanism must be one of"),
        (kafka(sasl_mechanism="PLAIN"), "belong together"),
        (kafka(ca_file="/nowhere"), "ca_file is for TLS"),
        (kafka(ca_file="/nowhere", is_tls=True), "cannot be read as certificates"),
    ],
)
def test_what_is_wrong_is_said_with_the_name_of_the_target(target: Target, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_sender(target, clock=SystemClock(), environ=_ENVIRON)
    assert why in str(refused.value)
    assert f"targets: {target.name}: " in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match="cannot be read as certificates"):
        open_sender(webhook(options={"ca_file": str(file)}), clock=SystemClock(), environ=_ENVIRON)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Mapping[str, object] = {}
    monkeypatch.setattr("importlib.util.find_spec", found.get)
    with pytest.raises(SettingsError, match=r"pip install 'tidegate\[kafka\]'"):
        open_sender(kafka(), clock=SystemClock(), environ=_ENVIRON)


def test_the_samples_of_the_guide_open_as_they_are_pasted(tmp_path: Path, pem: Path) -> None:  # noqa: F811
    text = (Path(__file__).parents[2] / "ops/guides/how-to/hand-off.md").read_text("utf-8")
    (tmp_path / "wms.secret").write_text(_SECRET)
    kinds = []
    for sample in re.findall(r"```toml\n(.*?)```", text, re.S):
        there = sample.replace("/etc/tidegate/wms-ca.pem", str(pem))
        there = there.replace("/etc/tidegate", str(tmp_path))
        for table in tomllib.loads(there)["targets"]:
            target = msgspec.convert(table, Target)
            environ = {
                "WAREHOUSE_WEBHOOK_SECRET": _SECRET,
                "ENGINE_REDIS_URL": "redis://:p@10.0.0.1:6379/0",
                "WMS_TOKEN": "token",
                "KAFKA_PASSWORD": "password",
            }
            open_sender(target, clock=SystemClock(), environ=environ)
            kinds.append(target.kind)
    assert set(kinds) == {"webhook", "redis_stream", "kafka"}
