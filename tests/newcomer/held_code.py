"""The numbers of README.md and the guides that the code decides."""

import importlib
import math

import msgspec

from gateway.clients import webhook_signing
from gateway.domain import features, overrides, placing
from gateway.overload import concurrency, rate_limit, rate_limit_sync, signals, tier_breaker
from gateway.overload import overrides as applied
from gateway.providers import registry
from gateway.runtime.settings import Channel
from gateway.stores.postgres.statements import sql
from loadtest.overload.findings import TIMES
from ops.doctor import redis_server
from ops.migrations import runner
from ops.warehouse.steps import Pace
from tests.newcomer.figures import Held, On, Run, constant, default, number

_MIN = 60
_H = 3600


def _concepts() -> list[Held]:
    page = On("ops/guides/concepts.md")
    days = default("refused_keep_h") / 24
    lookalike_min = placing.LOOKALIKE_WINDOW_S / _MIN
    place = sql("place")
    brushing = number(r"cardinality\(c.recent\) = (\d+)", place)
    brushing_min = number(r"> now\(\) - interval '(\d+) minutes'", place)
    page.say("for {} days, to be looked at", days)
    page.say("looks like an order of the last {} seconds", Channel("any").lookalike_window_s)
    page.say("or later: looks like an order of the last {} minutes", lookalike_min)
    page.say(
        "the {}th order of one buyer with the same goods within {} minutes", brushing, brushing_min
    )
    page.say("`unknown_order_s` ({} minutes)", default("unknown_order_s") / _MIN)
    page.say("some are stored for {} days, sealed", days)
    page.say("the journal is {} % full", default("journal_fill_max") * 100)
    page.say("within `inventory_s` ({} s)", default("inventory_s"))
    orders = On("ops/guides/orders.md")
    orders.say("it looks like another order of the last {} minutes", lookalike_min)
    orders.say("the fourth order of one buyer with the same goods within {} minutes", brushing_min)
    orders.say("`unknown_order_s` ({} minutes)", default("unknown_order_s") / _MIN)
    orders.free("{} of the payments is refunded", "enumerated")
    return [*page.lines, *orders.lines]


def _hand_off() -> list[Held]:
    page = On("ops/guides/how-to/hand-off.md")
    sizes = webhook_signing._SECRET_BYTES
    page.say("base64 of {} to {} bytes", sizes.start, sizes.stop - 1)
    page.free("Why the client is {} of our own", "enumerated")
    return page.lines


def _overload() -> list[Held]:
    page = On("ops/guides/overload.md")
    rules = tier_breaker.RULES
    lesser = [rules[tier] for tier in features.TIERS if tier > 1]
    page.say("What is left at {}, {} and {} times the capacity", *TIMES)
    page.say("one figure, taken every {} ms", signals.TICK_S * 1000)
    page.say(
        "From {} on features outside the core are shed, at {} all of them",
        min(rule.on for rule in lesser),
        max(rule.full for rule in lesser),
    )
    page.say("step by step, after {} seconds below the threshold", rules[4].quiet_s)
    page.say("| {} | payment callbacks |", features.CALLBACKS.tier)
    page.say(
        "| {} | order submission | no slot is free ({} of them is reserved for callbacks)",
        features.ORDER_SUBMISSION.tier,
        1 - concurrency._PART[1],
    )
    page.say("| {} | `GET /v1/orders/{id}` and its events", features.ORDER_READS.tier)
    page.say("| {} | `GET /v1/orders`; the live inventory check", features.ORDER_LISTS.tier)
    page.say("| {} | `GET /v1/orders/export`, `GET /v1/stream`", features.ORDER_EXPORT.tier)
    for rule, words in (
        (rules[features.ORDER_REMARKS.tier], "`PATCH /v1/orders/{id}/remark`"),
        (rules[features.INVENTORY_CHECK.tier], "orders are taken unchecked"),
        (rules[features.OTHER.tier], "`/openapi.json`"),
    ):
        page.say(words + " | load {} to {} |", rule.on, rule.full)
    page.say("compensated in full, with up to {} processes", 1 + rate_limit._DEBT_BURSTS)
    page.say(
        "more than {} keys that are busy within {} a second",
        rate_limit.PUBLISHED_MAX,
        rate_limit_sync.EXCHANGE_S,
    )
    page.say(
        "for {} hour by default and {} hours at most",
        overrides.DEFAULT_S / _H,
        overrides.DURATION_S_MAX / _H,
    )
    page.say("reaches every process within {} seconds", _everywhere_s())
    page.say("Shedding callbacks or orders by hand takes {} people", 2)
    return page.lines


def _everywhere_s() -> float:
    """Return the seconds within which every process follows an override, as people are told."""
    return math.ceil(applied._REFRESH_S + applied._WAIT_S)


def _tolerance(provider: str) -> tuple[int, int, int]:
    """Return the default, the least and the largest ``tolerance_s`` of a provider."""
    module = importlib.import_module(registry.PROVIDERS[provider].adapter.__module__)
    (field,) = (each for each in msgspec.structs.fields(module.Options)
                if each.name == "tolerance_s")  # fmt: skip
    (bounds,) = field.type.__metadata__
    return field.default, bounds.ge, bounds.le


def _accounts() -> list[Held]:
    page = On("ops/guides/how-to/accounts-and-channels.md")
    (same,) = {_tolerance(name) for name in ("stripe", "wechatpay", "standard_webhooks")}
    page.say("| Stripe, WeChat Pay, Standard Webhooks | {} | {} | {} |", *same)
    page.say("| Douyin Pay | {} | {} | {} |", *_tolerance("douyin_pay"))
    page.say("| PayPal | {} | {} | {} |", *_tolerance("paypal"))
    page.free("Two shops that both count from {} need two channels", "enumerated")
    return page.lines


def _how_to() -> list[Held]:
    folder = "ops/guides/how-to"
    shed = On(f"{folder}/shed-by-hand.md")
    shed.say("at a load that is lower by {}", overrides.EARLY_MARGIN)
    hours = overrides.DURATION_S_MAX / _H
    shed.say(
        "An override lasts {} minutes unless `--for` says otherwise, {} hours at most",
        overrides.DEFAULT_S / _MIN,
        hours,
    )
    shed.say("a step lasts {} hours at most", hours)
    shed.free("{} keys of {} names where {} people are needed", "enumerated")
    upgrade = On(f"{folder}/upgrade.md")
    upgrade.say(
        "It waits at most {} s for a table", number(r"(\d+)s", runner._SESSION["lock_timeout"])
    )
    upgrade.say("within `drain_s` ({} s)", default("drain_s"))
    own = On(f"{folder}/own-servers.md")
    own.say("a Redis or Valkey ({} or newer)", float(".".join(map(str, redis_server._VERSION_MIN))))
    own.say("within `drain_s` ({} s)", default("drain_s"))
    own.say("So on {} cores that they share", *Run("two_processes")("cores"))
    own.say("share, {} processes take no more orders than one", *Run("two_processes")("processes"))
    own.free("`tidegate serve --processes 4` runs {} gateway processes", "enumerated")
    shopify = On(f"{folder}/connect-shopify.md")
    shopify.free("nothing happened twice: its version is {}", "shown")
    sale = On(f"{folder}/rehearse-a-sale.md")
    sale.say(
        "more than {} % of all requests failed",
        constant("loadtest/locustfile.py", "FAILURE_RATIO_MAX") * 100,
    )
    watch = On(f"{folder}/watch-a-hand-off.md")
    pace = Pace()
    watch.say(
        "accepts, ships and delivers them within {} seconds",
        pace.accepts_s + pace.ships_s + pace.delivers_s,
    )
    return [line for on in (shed, upgrade, own, shopify, sale, watch) for line in on.lines]


def _others() -> list[Held]:
    readme = On("README.md")
    readme.say("of the last {} minutes are replayed or held", placing.LOOKALIKE_WINDOW_S / _MIN)
    index = On("ops/guides/index.md")
    index.free("the first {} minutes", "advice")
    index.free("what takes {} people", "advice")
    path = On("ops/guides/path-of-an-event.md")
    files_max = constant("tests/web/test_path_of_an_event.py", "FILES_MAX")
    path.say("each passes at most {} files", files_max)
    return [*readme.lines, *index.lines, *path.lines]


def held() -> list[Held]:
    """Return all lines."""
    return [*_concepts(), *_overload(), *_accounts(), *_how_to(), *_hand_off(), *_others()]
