"""`tidegate keys webhook-secret`."""

import json
import secrets

import click

from gateway.clients import webhook_signing


@click.command(
    "webhook-secret",
    epilog="""\
\b
Examples:
  tidegate keys webhook-secret > /etc/tidegate/wms.secret
  tidegate keys webhook-secret --ed25519 --json
Exits 0 with what we sign with on stdout, and what the receiver verifies with on stderr where that
is something else.
""",
)
@click.option(
    "--ed25519",
    "is_ed25519",
    is_flag=True,
    help="A key pair (v1a) instead of a shared secret (v1). No official library verifies v1a.",
)
@click.option("--json", "is_json", is_flag=True, help="Print both as JSON.")
def webhook_secret(is_ed25519: bool, is_json: bool) -> None:
    """Make a secret that webhooks to a target are signed with.

    Nothing is stored: give it to the receiver, and to the workers as the file or the variable that
    `secrets` of the target names. To rotate, let the target have both for a while: each message is
    then signed with both.
    """
    if is_ed25519:
        signs, verifies = webhook_signing.new_key_pair()
    else:
        signs = verifies = webhook_signing.new_secret(secrets.token_bytes)
    if is_json:
        click.echo(json.dumps({"signs": signs, "verifies": verifies}))
        return
    click.echo(signs)
    if verifies != signs:
        click.echo(f"for the receiver: {verifies}", err=True)
