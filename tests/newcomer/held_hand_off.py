"""The numbers of the guides to the hand-off, to work on orders and to alerts."""

import math

import msgspec

from gateway.clients import webhook
from gateway.domain import alerts, expressions, handoff_decisions
from gateway.providers import standard_webhooks
from gateway.runtime.settings_targets import Target
from gateway.stores.postgres.statements import sql
from gateway.web.handlers import order_filter
from tests.newcomer.documents import ROOT
from tests.newcomer.figures import Held, On, default, number
from workers import alert_book
from workers import alerts as alerting

_FOLDER = "ops/guides/how-to"
_MIN = 60
_H = 3600
_KIB = 1024


def _reading() -> list[Held]:
    find = On(f"{_FOLDER}/find-orders.md")
    find.say(
        "at most {} days apart, or {} for `provider`",
        order_filter.SCAN_DAYS_MAX,
        order_filter.PROVIDER_SCAN_DAYS_MAX,
    )
    follow = On(f"{_FOLDER}/follow-changes.md")
    follow.say("**{} months are kept** (`changes_months`", default("changes_months"))
    return [*find.lines, *follow.lines]


def _failing() -> list[Held]:
    page = On(f"{_FOLDER}/hand-off.md")
    lane = (ROOT / "workers/lane.py").read_text("utf-8")
    page.say(
        "once {} attempts were made within {} seconds",
        number(r"calls_min=(\d+)", lane),
        number(r"window_s=([\d.]+)", lane),
    )
    page.say("within {} hours with the defaults", math.ceil(_attempts_s() / _H * 2) / 2)
    page.free("and in {} that time on average", "enumerated")
    return page.lines


def _attempts_s() -> float:
    """Return the seconds that all attempts of a delivery take at most."""
    rule = handoff_decisions.RetryRule(
        int(_default(Target, "attempts_max")),
        _default(Target, "retry_first_s"),
        _default(Target, "retry_max_s"),
    )
    calls_s = rule.attempts_max * _default(Target, "call_s")
    failures = range(1, rule.attempts_max)
    return calls_s + sum(
        handoff_decisions.retry(rule, each, asked_s=None, share=1.0).after_s for each in failures
    )


def _receiving() -> list[Held]:
    page = On(f"{_FOLDER}/receive-webhooks.md")
    tolerance_s = _default(standard_webhooks.Options, "tolerance_s")
    page.say("Refuse a timestamp more than {} minutes off", tolerance_s / _MIN)
    page.say("within `call_s` ({} s)", _default(Target, "call_s"))
    page.say("that is larger than {} KiB", webhook._ANSWER_BYTES_MAX / _KIB)
    return page.lines


def _screening() -> list[Held]:
    page = On(f"{_FOLDER}/screening.md")
    minutes = number(r"> now\(\) - interval '(\d+) minutes'", sql("place"))
    page.say("the fourth order of the same goods in {} minutes", minutes)
    page.free("minor units: {} CNY is `1990`, {} JPY is `500`", "enumerated")
    page.free('`"重庆市".length` is {}', "enumerated")
    page.say("an expression has {} characters at most", expressions.CHARS_MAX)
    page.free("{} orders at the same instant", "enumerated")
    return page.lines


def _by_people() -> list[Held]:
    page = On(f"{_FOLDER}/work-on-orders.md")
    page.free("{} people get their keys", "enumerated")
    page.say("a payment that is made up always take {} people", 2)
    page.free("{} keys of one name are one person", "enumerated")
    page.say("nothing that takes {} people can be asked for", 2)
    readme = On("README.md")
    readme.say("{} of them for money and addresses", 2)
    scan = On(f"{_FOLDER}/nightly-scan.md")
    scan.say("`recheck_s` ({}) after they came", default("recheck_s"))
    return [*page.lines, *readme.lines, *scan.lines]


def _alerts() -> list[Held]:
    page = On(f"{_FOLDER}/alerts.md")
    page.say("takes less than {} seconds", alerting.TOLD_S)
    page.say("right again for {} seconds", alerts.CLEAR_S)
    page.say("still fires after {} hours", alert_book.REPEAT_S / _H)
    return page.lines


def _default(of: type, name: str) -> float:
    (field,) = (each for each in msgspec.structs.fields(of) if each.name == name)
    return float(field.default)


def held() -> list[Held]:
    """Return all lines."""
    return [*_reading(), *_failing(), *_receiving(), *_screening(), *_by_people(), *_alerts()]
