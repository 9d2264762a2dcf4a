"""The settings of alerts: the channels that they go to, and what differs from the rules' own."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$(?!\n)")]
_Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{1,253}$(?!\n)")]
_Address = Annotated[str, Meta(pattern=r"^[^@\s<>,;]{1,64}@[^@\s<>,;]{1,253}$(?!\n)")]


class AlertChannel(Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go: a robot of a chat, a webhook, or e-mail."""

    #: Its name, for `tidegate alerts test` and for the rules.
    name: _Name
    kind: Literal["dingtalk", "wecom", "feishu", "slack", "webhook", "email"]
    #: Of all kinds but `email`: the URL, as `env:NAME` or `file:PATH`; it contains the token.
    url: str = ""
    #: `dingtalk`, `feishu`: what the robot signs with; `webhook`: a `whsec_` secret. As `env:NAME`
    #: or `file:PATH`; empty where the robot checks none.
    secret: str = ""
    #: Alerts of at least this severity: `ticket`: all, `page`: those that wake somebody.
    severity: Literal["ticket", "page"] = "ticket"
    #: Hosts and networks that it may be in although they are private.
    private_addresses: list[str] = []
    #: `email`: the server, its port, and whether TLS is there from the start (`tls`), asked for
    #: (`starttls`) or not used (`none`).
    smtp_host: Annotated[str, Meta(pattern=r"^$|^[A-Za-z0-9.:-]{1,253}$(?!\n)")] = ""
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] = 587
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    #: `email`: who signs in, if anybody, with the password as `env:NAME` or `file:PATH`.
    smtp_user: str = ""
    smtp_password: str = ""
    #: `email`: from whom and to whom.
    sender: str = ""
    to: list[_Address] = []


class AlertSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """What differs from a rule's own; `tidegate alerts list` shows all rules."""

    #: The rule.
    name: _Name
    #: Whether it is an alert at all.
    is_on: bool = True
    #: The figure at which it fires.
    threshold: float | None = None
    #: Seconds that the figure must have been there.
    for_s: Annotated[float, Meta(ge=0, le=86400)] | None = None
    #: The channels that it goes to; by default all.
    channels: list[_Name] | None = None
    #: The page that says what to do, instead of ours.
    runbook: str | None = None
