"""What a rehearsal with Locust is told, checked before anything is sent."""

from pathlib import Path

import pytest

from loadtest import rehearsal
from loadtest.rehearsal import Phase, Wrong
from ops.simulators import keys, registry


def test_the_shape_of_a_sale() -> None:
    assert rehearsal.phases(minutes=0, quiet_s=60, hold_s=300, after_s=120) == [
        Phase(60, 0.05), Phase(370, 1.0), Phase(490, 0.4),
    ]  # fmt: skip
    assert rehearsal.phases(minutes=1, quiet_s=60, hold_s=300, after_s=120) == [
        Phase(0, 0.05), Phase(70, 1.0), Phase(70, 0.4),
    ]  # fmt: skip


@pytest.mark.parametrize("name", rehearsal.NUMBERS)
@pytest.mark.parametrize("text", ["", "abc", "-1", "nan", "inf", "1e99", "0x1", "1,5"])
def test_a_wrong_number_is_named(name: str, text: str) -> None:
    (fault,) = rehearsal.faults({name: text})
    assert fault.startswith(f"{name} must be a number from ")


@pytest.mark.parametrize(
    "text",
    [
        "", "gateway", "gateway:8080", "ftp://h", "http://", "http://h:0", "http://h:99999",
        "http://h/path", "http://[::1", "http://h?x",
    ],
)  # fmt: skip
def test_a_wrong_host_is_named(text: str) -> None:
    (fault,) = rehearsal.faults({"host": text})
    assert fault.startswith("host must be like http://127.0.0.1:8080")


def test_a_host_may_end_with_a_slash() -> None:
    assert rehearsal.host(" http://127.0.0.1:8080/ ") == "http://127.0.0.1:8080"


def test_payments_name_accounts(tmp_path: Path) -> None:
    for name in ("stripe", "wechatpay"):
        keys.save(tmp_path / f"{name}.json", registry.provider(name).create())
    text = f"stripe={tmp_path}/stripe.json, wechatpay/sale={tmp_path}/wechatpay.json,"
    assert [each.path for each in rehearsal.providers(text)] == [
        "/v1/callbacks/stripe/main", "/v1/callbacks/wechatpay/sale",
    ]  # fmt: skip
    assert rehearsal.providers("") == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stripe", "is not PROVIDER=FILE"),
        ("nobody=x.json", "with a provider of adyen"),
        ("stripe=/nowhere.json", "holds no simulated account"),
    ],
)
def test_wrong_payments_are_named(text: str, fault: str) -> None:
    (found,) = rehearsal.faults({"payments": text})
    assert found.startswith("payments: ")
    assert fault in found


def test_a_courier_cannot_pay(tmp_path: Path) -> None:
    keys.save(tmp_path / "k.json", registry.provider("kuaidi100").create())
    (found,) = rehearsal.faults({"payments": f"kuaidi100={tmp_path}/k.json"})
    assert "takes no payments in CNY" in found


def test_where_the_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Wrong, match="make run"):
        rehearsal.api_key(None, {})
    rehearsal.DEFAULT_KEY_FILE.parent.mkdir()
    rehearsal.DEFAULT_KEY_FILE.write_text("tg_saved\n")
    assert rehearsal.api_key(None, {}) == "tg_saved"
    assert rehearsal.api_key(None, {"TIDEGATE_API_KEY": "tg_given"}) == "tg_given"
    Path("other").write_text("tg_other")
    assert rehearsal.api_key(Path("other"), {"TIDEGATE_API_KEY": "tg_given"}) == "tg_other"
    for content in (b"", b"two\nlines", b"\xff"):
        Path("other").write_bytes(content)
        with pytest.raises(Wrong, match="there is no API key in other"):
            rehearsal.api_key(Path("other"), {})
