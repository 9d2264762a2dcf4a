"""The commands of `tidegate orders` that change an order, one for each action."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import click

from gateway.domain.asking import Action
from gateway.runtime import file_faults
from ops import gateway_client, order_view
from ops.failures import Failure, Wrong
from ops.gateway_client import GatewayClient

_EXITS = (
    "Exits 0 when it is done, journaled or waits for a second person, 1 when the order does not\n"
    "allow it (the answer says why, and what is possible) or no gateway answers, 2 for a wrong\n"
    "option. Sent again with the same --idempotency-key it has no second effect."
)
_TRACKING_NO = click.option("--tracking-no", required=True, help="The number of the parcel.")
_Options = Sequence[Callable[[Any], Any]]


def id_of(client: GatewayClient, order: str) -> str:
    """Return the id of an order that is given by its id or number. Raises ``Failure``."""
    try:
        return str(UUID(order))
    except ValueError:
        pass
    found = client.get("/v1/orders", order_no=order, is_test="any", limit="2")["orders"]
    if not found:
        raise Failure(f"no order of the key's channels has the number {order}")
    if len(found) > 1:
        raise Failure(
            f"several orders have the number {order}: give the id of one, as "
            f"`tidegate orders find --order-no {order}` lists them"
        )
    return str(found[0]["id"])


def printed(result: Any, as_json: bool) -> None:
    """Print what became of an action."""
    if as_json:
        click.echo(json.dumps(result))
    else:
        order_view.done(result)


def add_to(group: click.Group) -> None:
    """Add a command for each action."""
    for action, (summary, example, options, body) in _COMMANDS.items():
        group.add_command(_command(action, summary, example, options, body))


def _command(
    action: Action,
    summary: str,
    example: str,
    options: _Options,
    body: Callable[..., dict[str, Any]],
) -> click.Command:
    def run(
        order: str,
        reason: str,
        if_version: int | None,
        idempotency_key: str | None,
        url: str,
        key_file: Path | None,
        as_json: bool,
        **given: Any,
    ) -> None:
        client = gateway_client.opened(url, key_file)
        wanted = {"reason": reason, **body(**given)}
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        if if_version is not None:
            headers["If-Match"] = f'"{if_version}"'
        method = "PATCH" if action == "address" else "POST"
        path = f"/v1/orders/{id_of(client, order)}/{action}"
        printed(client.ask(method, path, wanted, headers).content, as_json)

    run.__doc__ = summary
    # What is added last is shown first.
    for option in (
        gateway_client.options,
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--idempotency-key", help="Names the request; made up unless given."),
        click.option(
            "--if-version", type=click.IntRange(1), help="Only if the order has this version."
        ),
        click.option("--reason", required=True, help="Why; kept in the order's history."),
        *reversed(options),
        click.argument("order"),
    ):
        run = option(run)
    epilog = f"\b\nExample:\n  tidegate orders {action} W-1001 {example}\n\b\n{_EXITS}\n"
    return click.command(action, epilog=epilog)(run)


def _ship(carrier: str, tracking_no: str, line: tuple[str, ...]) -> dict[str, Any]:
    return {"carrier": carrier, "tracking_no": tracking_no, "lines": [*map(_line, line)]}


def _line(text: str) -> dict[str, Any]:
    sku, _, quantity = text.rpartition("=")
    if not sku or not quantity.isdecimal():
        raise Wrong("--line must be SKU=QUANTITY, as in TEA-1=2")
    return {"sku": sku, "quantity": int(quantity)}


def _given(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _amend(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text("utf-8"))
        return {"items": told["items"], "amounts": told["amounts"]}
    except OSError as exc:
        raise Wrong(f"--file {file} cannot be read: {file_faults.reason(exc)}") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise Wrong(f"--file {file} must be JSON with items and amounts") from exc


_AMOUNT = click.option("--amount", required=True, help="Major units, as in 19.90.")
_COMMANDS: dict[Action, tuple[str, str, _Options, Callable[..., dict[str, Any]]]] = {
    "ship": (
        "Tell that a parcel of an order left. Undone by `cancel-parcel`.",
        '--carrier SF --tracking-no SF123 --line TEA-1=2 --reason "packed by hand"',
        (
            click.option("--carrier", required=True, help="Its code or name."),
            _TRACKING_NO,
            click.option("--line", multiple=True, help="What is in it: SKU=QUANTITY."),
        ),
        _ship,
    ),
    "deliver": (
        "Tell that a parcel arrived, or without --tracking-no the whole order.",
        '--reason "the buyer confirmed"',
        (click.option("--tracking-no", help="The parcel; else the whole order."),),
        _given,
    ),
    "close": (
        "Cancel an order. What was paid for it is to be refunded. Undone by `reopen`.",
        '--reason "the buyer called"',
        (),
        _given,
    ),
    "reopen": (
        "Take back that an order was closed.",
        '--reason "closed by mistake"',
        (),
        _given,
    ),
    "cancel-parcel": (
        "Take back that a parcel left. Undone by `ship`.",
        '--tracking-no SF123 --reason "the label was wrong"',
        (_TRACKING_NO,),
        _given,
    ),
    "refund": (
        "Record a refund that was made another way than by the payment's provider.",
        '--transaction-id T-1 --refund-no B-1 --amount 19.90 --reason "bank transfer"',
        (
            click.option("--transaction-id", required=True, help="The payment it is a part of."),
            click.option("--refund-no", required=True, help="Your own number of it."),
            _AMOUNT,
            click.option("--provider", help="Where two payments have the same number."),
        ),
        _given,
    ),
    "hold": (
        "Hold an order: it is neither handed off nor shipped. Undone by `release`.",
        '--reason "the address looks wrong"',
        (),
        _given,
    ),
    "release": (
        "End the hold that an order was placed with, and that of a person. Undone by `hold`.",
        '--reason "the buyer confirmed both"',
        (),
        _given,
    ),
    "make-up-payment": (
        "Record a payment that its provider never told of. Takes two people.",
        "--provider wechatpay --transaction-id T-1 \\\n"
        "    --amount 199.00 --paid-at 2026-11-23T10:00:00+08:00 \\\n"
        '    --evidence "statement, line 7" --reason "no callback"',
        (
            click.option("--provider", required=True, help="Who moved the money."),
            click.option("--transaction-id", required=True, help="The provider's number."),
            _AMOUNT,
            click.option("--paid-at", required=True, help="When, with its zone (RFC 3339)."),
            click.option("--evidence", required=True, help="Where the money was seen."),
        ),
        _given,
    ),
    "amend": (
        "Change the lines and amounts of an order. Takes two people.",
        '--file amended.json --reason "one piece less"',
        (
            click.option(
                "--file",
                required=True,
                type=click.Path(dir_okay=False, path_type=Path),
                help="JSON with `items` and `amounts`, all of them.",
            ),
        ),
        _amend,
    ),
    "address": (
        "Change where an order goes; what is not given stays. Takes two people.",
        '--street "Longjing Road 2" --reason "the buyer moved"',
        tuple(
            click.option(f"--{name}", help=f"The new {name}.")
            for name in (
                "name", "phone", "country", "province", "city", "district", "street", "postcode",
            )
        ),
        _given,
    ),
}  # fmt: skip
