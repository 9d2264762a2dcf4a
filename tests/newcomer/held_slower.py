"""The numbers of the page of the figures that were measured on a slower machine."""

from loadtest.handoff import verdict
from loadtest.overload import caged_gateway, report
from loadtest.overload.findings import TIMES
from tests.newcomer.figures import Held, On, Run

_BENCH, _OVERLOAD = Run("bench_slower"), Run("overload_slower")
_RESTART = Run("restart")
_HANDOFF = Run("handoff")


def held() -> list[Held]:
    """Return all lines."""
    page = On("ops/guides/figures.md")
    page.say("A run of 2026-11-30 on {} slower cores", *_OVERLOAD("cores"))
    page.say(
        "P at {} orders a second ({} to {}), {} rounds and windows of {} s",
        *_OVERLOAD("p_per_s", "p_low_per_s", "p_high_per_s", "rounds", "window_s"),
    )
    page.say(
        "orders at {} P / {} P / {} P, one process alone | {} / {} / {} % of P, "
        "p99 {} / {} / {} ms",
        *TIMES,
        *_OVERLOAD(*_of("alone_{}_percent"), *_of("alone_p99_{}_ms")),
    )
    page.say(
        "the same with HAProxy in front | {} / {} / {} % of P, p99 {} / {} / {} ms",
        *_OVERLOAD(*_of("front_{}_percent"), *_of("front_p99_{}_ms")),
    )
    page.say(
        "orders at {} P, lists up to {} P / {} P / {} P, roles apart | all the orders, "
        "p99 {} / {} / {} ms | {} ms: held",
        caged_gateway.CORE_SHARE,
        *TIMES,
        *_OVERLOAD(*_of("apart_p99_{}_ms")),
        report._APART_FLOOR_MS,
    )
    page.say(
        "the same in one process | {} / {} / {} % of the orders",
        *_OVERLOAD(*_of("mixed_{}_percent")),
    )
    page.say(
        "a rejection, of an accepted order | {}, bare sockets {}",
        *_OVERLOAD("rejection_cost", "bare_rejection_cost"),
    )
    page.say("orders at {} P after the storm | {} %", 0.7, *_OVERLOAD("after_storm_percent"))
    page.say(
        "lists shed after a step to {} P, and back | {} ms, {} s",
        5,
        *_OVERLOAD("shed_after_ms", "back_after_s"),
    )
    page.say(
        "rejected at {} P | {} % of all, {} % of the lists",
        0.7,
        *_OVERLOAD("quiet_all_percent", "quiet_lists_percent"),
    )
    page.say(
        "load below {} while all of P is offered | {} % of the samples",
        0.8,
        *_OVERLOAD("low_at_full_percent"),
    )
    page.say("shed or back | {} times a minute | **missed**", *_OVERLOAD("flips_per_min"))
    page.say(
        "one process took {} orders a second with a p99 of {} ms "
        "(`make bench`, medians of {} runs)",
        *_BENCH("c_requests_per_s", "c_p99_ms", "runs"),
    )
    _say_handoff(page)
    page.say(
        "with its data there takes {} s ({} s in the build before), and {} to {} s with {} endless "
        "loops beside it ({} to {} s); medians of {} starts, in turn, on {} cores",
        *_RESTART("now_s", "before_s", "busy_low_s", "busy_high_s", "loops"),
        *_RESTART("busy_before_low_s", "busy_before_high_s", "starts", "cores"),
    )
    page.say("cores busy is {} s: held", *_RESTART("aim_s"))
    return page.lines


def _say_handoff(page: On) -> None:
    page.say("On {} cores that share all of it, medians of {} rounds", *_HANDOFF("cores", "rounds"))
    page.say(
        "Celery with requests | {} deliveries/s, {} µs of CPU each",
        *_HANDOFF("celery_per_s", "celery_cpu_us"),
    )
    page.say(
        "log of attempts | {} deliveries/s ({} to {}), {} µs each | {}: held",
        *_HANDOFF("worker_per_s", "worker_low_per_s", "worker_high_per_s", "worker_cpu_us"),
        verdict._DELIVERIES_PER_S,
    )
    page.say(
        "of Celery's | {} times ({} to {}) | {}: held",
        *_HANDOFF("per_core", "per_core_low", "per_core_high"),
        verdict._PER_CORE,
    )
    page.say(
        "at {} orders/s, {} paid orders, all came | p50 {} ms, p99 {} ms | {} and {} ms: held",
        *_HANDOFF("orders_per_s", "paid", "p50_ms", "p99_ms"),
        verdict._P50_MS,
        verdict._P99_MS,
    )
    page.say(
        "that delivers {} events/s, of those alone | {} | {}",
        *_HANDOFF("beside_per_s", "intake_share"),
        verdict._BESIDE,
    )
    page.say("share {} cores at full load", *_HANDOFF("cores"))


def _of(name: str) -> list[str]:
    return [name.format(times) for times in TIMES]
