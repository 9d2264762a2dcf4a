"""`tidegate keys webhook-secret`: secrets that both sides can use."""

import json
import time

import standardwebhooks
from click.testing import CliRunner, Result

from gateway.clients.webhook_signing import Signer
from ops.cli import main


def made(*options: str) -> Result:
    done = CliRunner().invoke(main, ["keys", "webhook-secret", *options])
    assert done.exit_code == 0
    return done


def test_a_secret_is_one_that_the_official_library_takes() -> None:
    """It stands alone on stdout, so that a shell can write it to a file."""
    done = made()
    assert done.stderr == "" and made().stdout != done.stdout
    secret = done.stdout.removesuffix("\n")
    headers = Signer([secret]).headers(event_id="a", sent_s=int(time.time()), body=b"{}")
    assert standardwebhooks.Webhook(secret).verify(b"{}", headers) == {}
    both = json.loads(made("--json").stdout)
    assert both["signs"] == both["verifies"]


def test_of_a_key_pair_only_our_half_stands_on_stdout() -> None:
    done = made("--ed25519")
    assert done.stdout.startswith("whsk_") and done.stdout.count("\n") == 1
    assert done.stderr.startswith("for the receiver: whpk_")
    Signer([done.stdout.removesuffix("\n")])
    both = json.loads(made("--ed25519", "--json").stdout)
    assert both["signs"].startswith("whsk_") and both["verifies"].startswith("whpk_")
