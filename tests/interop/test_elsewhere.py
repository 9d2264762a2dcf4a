"""The second environment is created once, again when needed, and reports a failure."""

import os
from pathlib import Path

import pytest

from tests.interop.elsewhere import Elsewhere, Unusable

_MADE_AT = "import json, os, sys; print(json.dumps(os.stat(sys.prefix).st_ino))"


def test_every_client_of_the_lock_is_there(elsewhere: Elsewhere) -> None:
    script = """
import json, sys
import OpenSSL.crypto, paypalrestsdk
import alipay.aop.api.util.SignatureUtils
import bytedance.douyinpay
print("what a client prints is not the answer")
print(json.dumps({"text": json.load(sys.stdin)["text"], "has": hasattr(OpenSSL.crypto, "verify")}))
"""
    assert elsewhere.run(script, text="häß 支付") == {"text": "häß 支付", "has": True}


def test_a_script_that_fails_says_why(elsewhere: Elsewhere) -> None:
    with pytest.raises(Unusable, match="ZeroDivisionError"):
        elsewhere.run("1 / 0")
    with pytest.raises(Unusable, match="ended with 0"):
        elsewhere.run("pass")


@pytest.mark.servers
def test_it_is_created_once_again_if_incomplete_and_reports_a_failure(
    tmp_path: Path,
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# nothing\n")
    place = tmp_path / "place"
    first = Elsewhere(lock=lock, place=place).run(_MADE_AT)
    (place / "mark").touch()
    assert Elsewhere(lock=lock, place=place).run(_MADE_AT) == first
    assert (place / "mark").exists()

    # As an interrupt leaves it: packages missing, and nothing written down.
    os.unlink(place / ".installed")
    Elsewhere(lock=lock, place=place)
    assert not (place / "mark").exists()

    # Another lock, and one that no index can serve: what was made before is not used for it.
    (place / "mark").touch()
    lock.write_text("unpinned-and-without-a-hash\n")
    with pytest.raises(Unusable, match="run by hand"):
        Elsewhere(lock=lock, place=place)
    assert not (place / "mark").exists()
    assert not (place / ".installed").exists()
