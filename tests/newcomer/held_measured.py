"""The numbers of README.md and of the page of the figures that were measured, with their floors."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cache

from loadtest import payers
from loadtest.bench import __main__ as bench_command
from loadtest.bench import verdict
from loadtest.bench.plan import Findings as BenchFindings
from loadtest.demo import __main__ as demo_command
from loadtest.overload import caged_gateway, plan, report
from loadtest.overload.findings import TIMES, Findings, Steps, Trial
from loadtest.overload.outcomes import Outcome, Phase
from tests.newcomer import held_slower
from tests.newcomer.figures import Held, On, Run, number, option
from tests.proof import test_kill9
from tests.torture import __main__ as torture_command
from tests.torture import catalogue, faults_clock

_BENCH, _PAIR, _DEMO = Run("bench"), Run("two_processes"), Run("demo")
_JOURNAL, _OVERLOAD = Run("journal"), Run("overload")


@cache
def _bench_wanted() -> Mapping[str, str]:
    """Return what `make bench` wants, by what it measures."""
    nothing = BenchFindings(
        seconds=0, rounds=0, connections=0, replica=False, cores=0, python="",
        closed={}, opened={}, kept={},
    )  # fmt: skip
    return {line.what: line.wanted for line in verdict.judge(nothing)}


def _floor(what: str) -> float:
    return number(r"floor ([\d.]+)", _bench_wanted()[what])


def _aim(what: str) -> float:
    return number(r"aim (?:at most )?([\d.]+)", _bench_wanted()[what])


@cache
def _overload_wanted() -> Mapping[str, str]:
    """Return the floors of `make bench-overload`, by what it measures."""
    trials = {times: [Trial(1.0, Outcome(seconds=1.0))] for times in TIMES}
    phases = [
        Phase(
            outcomes={"order": Outcome(seconds=1.0), "list": Outcome(seconds=1.0)},
            lists_accepted=[],
            lists_refused=[],
        )
    ]
    findings = Findings(
        held_to_cores=1.0, cores=0, python="", probes=[1.0], flood=trials, unshed=trials[5],
        mixed=trials, apart=trials, fronted=trials, refusal_cost=[1.0], accept_s=[1.0],
        least_refusal_cost=[1.0], late=trials[5], quiet=phases, cpu_alone=phases,
        after_flood=trials[5][0], high_at_half=0.0, low_at_full=0.0,
        steps=[Steps(shed_after_ms=0.0, back_after_s=0.0, flips_per_min=0.0)],
    )  # fmt: skip
    return {line.what: line.floor for line in report.judge(findings)}


def _wanted(what: str, *, unit: str = "") -> float:
    return number(rf"([\d.]+){unit}", _overload_wanted()[what])


def _readme() -> list[Held]:
    page = On("README.md")
    page.say("{} cores shared by service, PostgreSQL", *_BENCH("cores"))
    page.say("fsync on; {} connections", *_BENCH("connections"))
    page.say(
        "six tables, sealed, durable | {} orders/s, p99 {} ms",
        *_BENCH("c_requests_per_s", "c_p99_ms"),
    )
    page.say(
        "of FastAPI with a commit a request | {} times | {} |",
        *_BENCH("c_over_b"),
        _floor("requests/s, c / b"),
    )
    page.say(
        "of bare aiohttp that stores nothing | {} | {} |",
        *_BENCH("c_over_a"),
        _floor("requests/s, c / a"),
    )
    at_20 = "p99 in ms of c at 20 orders/s"
    page.say(
        "p99 at {} orders/s | {} ms | aim {}", 20, *_BENCH("c_p99_at_20_per_s_ms"), _aim(at_20)
    )
    page.say(
        "{} times the capacity, HAProxy in front | {} % of it answered | {} %",
        TIMES[-1],
        *_OVERLOAD("front_10_percent"),
        _wanted("orders at 10 x the capacity through HAProxy"),
    )
    page.say("one process alone | nothing | {} %", report._FLOOD_FLOORS[10][0] * 100)
    page.say("until the first 202 | under {} s", *_JOURNAL("first_202_when_killed_s_below"))
    return page.lines


def _figures_of_orders() -> list[Held]:
    page = On("ops/guides/figures.md")
    page.say("All were measured on {} cores", *_BENCH("cores"))
    page.say("takes about {} minutes.", *_BENCH("takes_min"))
    page.say("{} connections in a closed loop, distinct", option(bench_command.main, "connections"))
    page.say(
        "answers a constant | {} | {} / {} | {} µs",
        *_BENCH("a_requests_per_s", "a_p50_ms", "a_p99_ms", "a_service_cpu_us"),
    )
    for words, letter in (("a commit a request", "b"), ("six tables, sealed, durable", "c")):
        names = ("requests_per_s", "p50_ms", "p99_ms")
        cpu = ("service_cpu_us", "postgres_cpu_us", "valkey_cpu_us")
        page.say(
            words + " | {} | {} / {} | {} + {} + {} µs",
            *_BENCH(*(f"{letter}_{name}" for name in (*names, *cpu))),
        )
    over = "requests/s, c / b"
    page.say(
        "| requests/s, c / b | {} | {}: held | {}: missed",
        *_BENCH("c_over_b"),
        _floor(over),
        _aim(over),
    )
    over = "requests/s, c / a"
    page.say(
        "| requests/s, c / a | {} ({} to {} in several runs) | {}: held | {}: missed",
        *_BENCH("c_over_a", "c_over_a_low", "c_over_a_high"),
        _floor(over),
        _aim(over),
    )
    page.say(
        "for each order, c / a | {} | \u2013 | {}: held",
        *_BENCH("cpu_c_over_a"),
        _aim("CPU of the service per request, c / a"),
    )
    page.say(
        "| {} | {} ms | {} ms: **missed** |",
        20,
        *_BENCH("c_p99_at_20_per_s_ms"),
        _aim("p99 in ms of c at 20 orders/s"),
    )
    page.say(
        "| {} | {} ms | {} ms: held |",
        200,
        *_BENCH("c_p99_at_200_per_s_ms"),
        _aim("p99 in ms of c at 200 orders/s"),
    )
    page.say("| {} | {} ms | \u2013 |", 2000, *_BENCH("c_p99_at_2000_per_s_ms"))
    page.say(
        "{} gateway processes on {} cores take no more orders than one: {} a second each way, "
        "with a p99 of {} ms instead of {}",
        *_PAIR("processes", "cores", "two_requests_per_s", "two_p99_ms", "one_p99_ms"),
    )
    return page.lines


def _figures_of_promises() -> list[Held]:
    page = On("ops/guides/figures.md")
    faults = catalogue.faults().values()
    page.say(
        "{} orders with their payments, {} of them signed by Stripe's own SDK",
        option(demo_command.main, "count"),
        Fraction(1, len(payers.create())),
    )
    page.say(
        "{} messages over {} connections in {} to {} s, and all {} checks hold",
        *_DEMO("messages", "connections", "fastest_s", "slowest_s", "checks"),
    )
    kills = next(each for each in torture_command.main.params if each.name == "cycles")
    page.say(
        "It plays {} faults ({} kills of the gateway",
        sum(not fault.is_control for fault in faults),
        number(r"default: (\d+)", str(getattr(kills, "help", ""))),
    )
    ahead = next(fault.name for fault in faults_clock.FAULTS if "ahead" in fault.name)
    page.say("a clock {} hours ahead", number(r"(\d+) h ahead", ahead))
    page.say("kills the gateway {} times under load", test_kill9.ROUNDS)
    page.say("under {} s when it is killed", *_JOURNAL("first_202_when_killed_s_below"))
    page.say(
        "The journal takes {} orders a second from one process, {} at a time, and one worker "
        "drains {} a second",
        *_JOURNAL("append_orders_per_s", "append_at_a_time", "drain_orders_per_s"),
    )
    return page.lines


def _figures_of_overload() -> list[Held]:
    page = On("ops/guides/figures.md")
    share = caged_gateway.CORE_SHARE
    page.say("needs root, {} cores and writable control groups", *_OVERLOAD("cores"))
    page.say("takes about {} hour", *_OVERLOAD("takes_h"))
    page.say("held to {} of a core", *_OVERLOAD("held_to_cores"))
    page.say(
        "closed loop of {} connections, found anew right before each trial: {} orders a second "
        "({} to {})",
        caged_gateway._PROBE_CONNECTIONS,
        *_OVERLOAD("p_per_s", "p_low_per_s", "p_high_per_s"),
    )
    page.say("the medians of {} rounds of one run", *_OVERLOAD("rounds"))
    page.say(
        "orders at {} P, lists up to {} P / {} P / {} P, roles apart | all the orders "
        "| {} / {} / {} ms | {} %, {} ms: held",
        share,
        *TIMES,
        *_OVERLOAD("apart_p99_2_ms", "apart_p99_5_ms", "apart_p99_10_ms"),
        report._APART_FLOOR * 100,
        report._APART_FLOOR_MS,
    )
    page.say(
        "orders at {} P / {} P / {} P, HAProxy in front (`ops/front`) | {} / {} / {} % "
        "| {} / {} / {} ms | {} % at {} P",
        *TIMES,
        *_OVERLOAD("front_2_percent", "front_5_percent", "front_10_percent"),
        *_OVERLOAD("front_p99_2_ms", "front_p99_5_ms", "front_p99_10_ms"),
        report._FRONTED_AIM * 100,
        TIMES[-1],
    )
    for times, words in ((2, "one process alone"), (5, "alone")):
        floor, floor_ms = report._FLOOD_FLOORS[times]
        names = ("percent", "low_percent", "high_percent", "p99_ms", "p99_low_ms", "p99_high_ms")
        page.say(
            "orders at {} P, " + words + " | {} % ({} to {}) | {} ms ({} to {}) | {} %"
            + (", {} ms" if times == 2 else ": **missed**, {} ms"),
            times,
            *_OVERLOAD(*(f"alone_{times}_{name}" for name in names)),
            floor * 100,
            floor_ms,
        )  # fmt: skip
    floor, floor_ms = report._FLOOD_FLOORS[10]
    page.say(
        "orders at {} P, alone | nothing | {} s | {} %, {} ms",
        10,
        *_OVERLOAD("alone_10_p99_s"),
        floor * 100,
        floor_ms,
    )
    page.say(
        "orders at {} P, lists up to {} P / {} P / {} P, one process for both "
        "| {} / {} / {} % of the orders | {} / {} ms / {} s | {} / {} / {} %",
        share,
        *TIMES,
        *_OVERLOAD("mixed_2_percent", "mixed_5_percent", "mixed_10_percent"),
        *_OVERLOAD("mixed_2_p99_ms", "mixed_5_p99_ms", "mixed_10_p99_s"),
        *(report._MIXED_FLOORS[times] * 100 for times in TIMES),
    )
    page.say("orders at {} P, without shedding | nothing | {} s", 5, *_OVERLOAD("unshed_5_p99_s"))
    page.say("orders at {} P, decided when parsed | nothing | {} s", 5, *_OVERLOAD("late_5_p99_s"))
    return page.lines


def _figures_of_rejections() -> list[Held]:
    page = On("ops/guides/figures.md")
    page.say(
        "costs {} of an accepted order (the floor is {}: **missed**), and bare sockets that do "
        "nothing else, in the same run at the same rate, {}",
        *_OVERLOAD("rejection_cost"),
        _wanted("cost of a refusal, of an accepted order"),
        *_OVERLOAD("bare_rejection_cost"),
    )
    page.say(
        "at their price, {} / {} / {} % of P would be left at {} P, {} P and {} P",
        *_OVERLOAD("bare_left_2_percent", "bare_left_5_percent", "bare_left_10_percent"),
        *TIMES,
    )
    page.say(
        "an order takes {} to {} µs and a rejection some {} of the kernel's and {} of ours",
        *_OVERLOAD("order_low_us", "order_high_us", "rejection_kernel_us", "rejection_python_us"),
    )
    quiet = "refused at 0.7 of the capacity, median of the windows"
    page.say(
        "rejected at {} P, median of five windows of {} s | nothing (in the worst window {} % of "
        "all and {} % of the lists) | {} %",
        number(r"at ([\d.]+) of", quiet),
        *_OVERLOAD("quiet_window_s", "quiet_worst_all_percent", "quiet_worst_lists_percent"),
        _wanted(quiet),
    )
    page.say("with CPU alone to decide | {} %", *_OVERLOAD("cpu_alone_percent"))
    page.say(
        "load while {} of P is offered | below {} in every sample",
        *_OVERLOAD("half", "load_at_half_below"),
    )
    page.say("| at or above {} in every sample", *_OVERLOAD("load_at_full_from"))
    page.say(
        "load with {} clients that wait for their answers | {},",
        *_OVERLOAD("connections", "load_waiting_clients"),
    )
    page.say(
        "lists shed after a step to {} P | {} ms | {} ms",
        5,
        *_OVERLOAD("shed_after_ms"),
        _wanted("lists gone after a step to 5 x"),
    )
    page.say(
        "lists back after the step back | {} s | {} s",
        *_OVERLOAD("back_after_s"),
        _wanted("lists back after the step back"),
    )
    page.say(
        "how often lists are shed or back | {} times a minute | {}:",
        *_OVERLOAD("flips_per_min"),
        _wanted("lists shed or back, a minute"),
    )
    page.say(
        "orders at {} P answered, {} to {} seconds after a storm of {} P, a minute long, in which "
        "each rejected order is sent {} more times | {} % | {} %",
        *_OVERLOAD("after_storm_at", "after_storm_from_s", "after_storm_to_s"),
        TIMES[-1],
        plan._TRIES - 1,
        *_OVERLOAD("after_storm_percent"),
        report._AFTER_FLOOR * 100,
    )
    page.say("all orders were answered from {} seconds on", *_OVERLOAD("after_storm_all_from_s"))
    return page.lines


def held() -> list[Held]:
    """Return all lines."""
    return [
        *_readme(),
        *_figures_of_orders(),
        *_figures_of_promises(),
        *_figures_of_overload(),
        *_figures_of_rejections(),
        *held_slower.held(),
    ]
