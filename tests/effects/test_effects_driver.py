"""Whole runs of plugins, on every host."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sen_host import EffectDriver, EffectLimits, Plugin, PluginPool
from sen_host.backend import Capability
from sen_host.effects import EffectReport, parse_pattern
from sen_host.errors import EffectLimitExceeded, EffectsNotSupported, Serialization
from sen_host.messages import (
    Effect,
    EffectError,
    EffectResult,
    Error,
    HttpGet,
    HttpPost,
    HttpResponse,
    Sleep,
    SleepComplete,
    Success,
    encode,
)
from sen_host_conformance.hosts import Host
from tests.conftest import HOSTS
from tests.effects.server import Server
from tests.guests import SLEEPING
from tests.wat import ANSWER_AT, Wat, message

ROOT = Path(__file__).parents[2]
FETCH = ROOT / "plugins" / "fetch" / "fetch.wasm"
LOCAL = parse_pattern("http://127.0.0.1")

Run = Callable[[EffectDriver, "Plugin | PluginPool", list[str]], "Success | Error"]


def _sync(driver: EffectDriver, plugin: Plugin | PluginPool, args: list[str]) -> Success | Error:
    return driver.run(plugin, args)


def _async(driver: EffectDriver, plugin: Plugin | PluginPool, args: list[str]) -> Success | Error:
    return asyncio.run(driver.run_async(plugin, args))


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


@pytest.fixture(scope="module")
def loaded() -> Iterator[Callable[[Host], Plugin]]:
    """The plugin on a host, loaded once."""
    plugins: dict[Host, Plugin] = {}

    def load(host: Host) -> Plugin:
        if host not in plugins:
            plugins[host] = host.loader().load(FETCH)
        return plugins[host]

    yield load
    for plugin in plugins.values():
        plugin.close()


@pytest.fixture
def fetch(loaded: Callable[[Host], Plugin], host: Host) -> Plugin:
    """The plugin on each host."""
    return loaded(host)


@pytest.fixture
def one(loaded: Callable[[Host], Plugin]) -> Plugin:
    """The plugin on one host, for what happens above the engines."""
    return loaded(HOSTS[0])


def answering(*answers: EffectResult) -> tuple[Callable[[Effect], EffectResult], list[Effect]]:
    """A handler that answers so, the last one again and again; and what it was asked."""
    asked: list[Effect] = []

    def handler(effect: Effect) -> EffectResult:
        asked.append(effect)
        return answers[min(len(asked), len(answers)) - 1]

    return handler, asked


class TestRuns:
    def test_a_get(self, fetch: Plugin, server: Server, run: Run) -> None:
        url = server.url()
        answer = run(EffectDriver([LOCAL]), fetch, [url, "-H", "X-A: b"])
        assert answer == Success(f"200 {url} (5 bytes, text/plain)\nhello")
        assert server.requests[0].headers["x-a"] == "b"

    def test_a_post(self, fetch: Plugin, server: Server, run: Run) -> None:
        url = server.url("/echo")
        args = [url, "--post", "grüße", "--content-type", "text/x"]
        assert run(EffectDriver([LOCAL]), fetch, args) == Success(
            f"200 {url} (7 bytes, text/x)\ngrüße"
        )

    def test_retries_with_pauses_between(self, fetch: Plugin, server: Server, run: Run) -> None:
        url = server.url("/status?503")
        slept: list[float] = []

        async def sleep_async(seconds: float) -> None:
            slept.append(seconds)

        driver = EffectDriver([LOCAL], sleep=slept.append, sleep_async=sleep_async)
        assert run(driver, fetch, [url]) == Error(1, f"{url}: status 503 (3 attempts)")
        assert slept == [0.1, 0.1]
        assert len(server.requests) == 3

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (["http://127.0.0.2/"], "http://127.0.0.2 is not granted"),
            (["http://me:pw@127.0.0.1/"], "credentials in a URL are not allowed"),
            (["http://127.0.0.1/", "-H", "Host: evil"], "the header 'Host' is not for plugins to"),
            (["http://127.0.0.1/", "-H", "a: b\r\nc: d"], "characters other than printable ASCII"),
            (["http://127.0.0.1/\r\nx"], "the URL has control characters in it"),
        ],
    )
    def test_a_refusal_reaches_the_plugin(
        self, fetch: Plugin, run: Run, arguments: list[str], text: str
    ) -> None:
        answer = run(EffectDriver([LOCAL]), fetch, [*arguments, "--retry", "0"])
        assert isinstance(answer, Error)
        assert text in answer.message

    def test_a_bad_server_leaves_the_plugin_alive(
        self, fetch: Plugin, server: Server, run: Run
    ) -> None:
        driver = EffectDriver([LOCAL], limits=EffectLimits(body_bytes=1_000))
        answer = run(driver, fetch, [server.url("/bomb"), "-r", "0"])
        assert isinstance(answer, Error)
        assert "more than 1,000 bytes" in answer.message
        assert isinstance(run(driver, fetch, [server.url()]), Success)

    def test_a_driver_is_a_handler(self, fetch: Plugin, server: Server) -> None:
        driver = EffectDriver([LOCAL])
        assert isinstance(fetch.run([server.url()], driver.handle), Success)
        answer = asyncio.run(fetch.run_async([server.url()], driver.handle_async))
        assert isinstance(answer, Success)

    def test_a_pool_is_driven_too(self, one: Plugin, server: Server, run: Run) -> None:
        with PluginPool(one.clone(), size=1) as pool:
            assert isinstance(run(EffectDriver([LOCAL]), pool, [server.url()]), Success)


class TestLimitsOfARun:
    def test_effects_without_end(self, host: Host, run: Run) -> None:
        sleep = encode(Sleep(id=7, duration_ms=0))
        wasm = Wat(answer_bytes=sleep, resume=message(ANSWER_AT, sleep)).wasm()
        told: list[EffectReport] = []
        driver = EffectDriver(limits=EffectLimits(effects=3), observer=told.append)
        with (
            host.loader().load(wasm) as plugin,
            pytest.raises(EffectLimitExceeded, match="more than 3 effects"),
        ):
            run(driver, plugin, [])
        assert len(told) == 3

    def test_one_run_does_not_use_up_the_next(self, one: Plugin, run: Run) -> None:
        limits = EffectLimits(total_sleep_seconds=0.11)
        driver = EffectDriver(limits=limits, sleep=lambda seconds: None, sleep_async=_nothing)
        for _ in range(2):
            answer = run(driver, one, ["http://x.example", "-r", "3"])
            assert isinstance(answer, Error)
            assert answer.message == (
                "http://x.example: the time for sleeps of this run is used up (2 attempts)"
            )

    def test_an_effect_of_a_plugin_that_cannot_resume_is_not_done(
        self, host: Host, run: Run
    ) -> None:
        wasm = Wat(answer_bytes=encode(HttpGet(1, "http://127.0.0.1/"))).wasm()
        handler, asked = answering(HttpResponse(200, ""))
        driver = EffectDriver(handlers={HttpGet: handler})
        with host.loader().load(wasm) as plugin:
            with pytest.raises(EffectsNotSupported, match="plugin_resume"):
                run(driver, plugin, [])
            if plugin.binding.has(Capability.ANY_THREAD):
                with (
                    PluginPool(plugin.clone(), size=1) as pool,
                    pytest.raises(EffectsNotSupported, match="plugin_resume"),
                ):
                    run(driver, pool, [])
        assert asked == []

    def test_an_id_that_the_plugin_does_not_know_is_its_to_judge(self, one: Plugin) -> None:
        answer = one.resume(99, SleepComplete())
        assert isinstance(answer, Error)


class TestHandlers:
    def test_a_handler_of_ones_own(self, one: Plugin, run: Run) -> None:
        handler, asked = answering(HttpResponse(200, "mine"))
        driver = EffectDriver(handlers={HttpGet: handler})
        answer = run(driver, one, ["http://anything"])
        assert answer == Success("200 http://anything (4 bytes)\nmine")
        assert asked == [HttpGet(asked[0].id, "http://anything")]
        refused = run(driver, one, ["http://anything", "-p", "x"])
        assert isinstance(refused, Error)
        assert "network access is not granted" in refused.message

    def test_an_async_handler(self, one: Plugin) -> None:
        async def handler(effect: HttpPost) -> EffectResult:
            await asyncio.sleep(0)
            return HttpResponse(201, effect.body)

        driver = EffectDriver(handlers={HttpPost: handler})
        args = ["http://anything", "-p", "x"]
        answer = asyncio.run(driver.run_async(one, args))
        assert answer == Success("201 http://anything (1 bytes)\nx")
        with pytest.raises(Serialization, match="returned coroutine") as caught:
            driver.run(one, args)
        assert "run_async" in str(caught.value)

    def test_what_a_handler_raises_goes_to_the_caller(self, one: Plugin, run: Run) -> None:
        told: list[EffectReport] = []

        def handler(effect: HttpGet) -> EffectResult:
            raise KeyError("mine")

        driver = EffectDriver(handlers={HttpGet: handler}, observer=told.append)
        with pytest.raises(KeyError, match="mine"):
            run(driver, one, ["http://anything"])
        assert [report.result for report in told] == [None]

    def test_a_handler_that_returns_something_else(self, one: Plugin, run: Run) -> None:
        wrong: Any = lambda effect: "text"  # noqa: E731 - its type is what is wrong
        driver = EffectDriver(handlers={HttpGet: wrong})
        with pytest.raises(Serialization, match="the handler of HttpGet returned str"):
            run(driver, one, ["http://anything"])


class TestInterceptor:
    def test_it_may_answer_change_or_let_pass(self, one: Plugin, server: Server, run: Run) -> None:
        def intercept(effect: Effect) -> Effect | EffectResult | None:
            match effect:
                case HttpGet(id, url) if "change" in url:
                    return HttpGet(id, server.url(), (("authorization", "token"),))
                case HttpGet(url=url) if "answer" in url:
                    return HttpResponse(200, "cached")
                case Sleep():
                    return SleepComplete()
            return None

        driver = EffectDriver([LOCAL], intercept=intercept)
        assert isinstance(run(driver, one, [server.url()]), Success)
        changed = run(driver, one, ["http://change"])
        assert changed == Success("200 http://change (5 bytes, text/plain)\nhello")
        assert server.requests[1].headers["authorization"] == "token"
        answered = run(driver, one, ["http://answer"])
        assert answered == Success("200 http://answer (6 bytes)\ncached")

    def test_what_it_puts_in_place_is_checked_as_well(self, one: Plugin, run: Run) -> None:
        driver = EffectDriver([LOCAL], intercept=lambda effect: HttpGet(1, "http://10.0.0.1"))
        answer = run(driver, one, ["http://127.0.0.1", "-r", "0"])
        assert answer == Error(1, "http://127.0.0.1: http://10.0.0.1 is not granted (1 attempt)")

    def test_it_may_only_return_what_makes_sense(self, one: Plugin, run: Run) -> None:
        driver = EffectDriver(intercept=lambda effect: True)  # type: ignore[arg-type,return-value]
        with pytest.raises(Serialization, match="the interceptor returned bool"):
            run(driver, one, ["http://anything"])


class TestConcurrency:
    def test_cancelling_ends_the_request(self, one: Plugin, server: Server) -> None:
        told: list[EffectReport] = []
        driver = EffectDriver([LOCAL], observer=told.append)

        async def cancel() -> None:
            task = asyncio.create_task(driver.run_async(one, [server.url("/drip")]))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        [report] = told
        assert (report.plugin, report.path) == ("fetch", str(FETCH))
        assert (report.result, report.reason) == (None, None)
        # The server's end of the connection broke, so its thread is over.
        assert server.idle(within=5)
        assert isinstance(driver.run(one, [server.url()]), Success)

    def test_cancelling_ends_a_sleep(self) -> None:
        wasm = Wat(answer_bytes=encode(Sleep(7, 50_000)), resume="(i64.const 0)").wasm()

        async def cancel(plugin: Plugin) -> None:
            sleeping = asyncio.Event()

            async def sleep(seconds: float) -> None:
                sleeping.set()
                await asyncio.sleep(seconds)

            driver = EffectDriver(sleep_async=sleep)
            task = asyncio.create_task(driver.run_async(plugin))
            await sleeping.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with HOSTS[0].loader().load(wasm) as plugin:
            asyncio.run(cancel(plugin))

    def test_many_runs_at_a_time_share_a_driver(self, one: Plugin, server: Server) -> None:
        driver = EffectDriver([LOCAL])
        with PluginPool(one.clone(), size=4) as pool, ThreadPoolExecutor(4) as threads:
            urls = [server.url(f"/plain?{number}") for number in range(6)]
            answers = list(threads.map(lambda url: driver.run(pool, [url]), urls))
        assert all(isinstance(answer, Success) for answer in answers)
        assert {request.target for request in server.requests} == {
            f"/plain?{number}" for number in range(6)
        }

    def test_many_tasks_share_a_driver(self, server: Server) -> None:
        driver = EffectDriver([LOCAL])

        async def all_of_them() -> list[EffectResult]:
            effects = [HttpGet(1, server.url(f"/plain?{number}")) for number in range(10)]
            return await asyncio.gather(*map(driver.handle_async, effects))

        assert all(isinstance(answer, HttpResponse) for answer in asyncio.run(all_of_them()))


def test_a_sleep_takes_its_time(run: Run, host: Host) -> None:
    with host.loader().load(SLEEPING) as plugin:
        started = time.monotonic()
        assert run(EffectDriver(), plugin, []) == Success("done")
        assert time.monotonic() - started >= 0.005


def test_threads_do_not_pile_up(server: Server) -> None:
    driver = EffectDriver([parse_pattern("http://localhost")])
    before = threading.active_count()
    for _ in range(20):
        assert isinstance(driver.handle(HttpGet(1, server.url(host="localhost"))), HttpResponse)
    assert server.idle(within=5)
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("library", ["httpcore", "anyio", "certifi"])
def test_without_the_libraries_the_error_says_what_to_install(library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
from sen_host import EffectDriver
from sen_host.effects import parse_pattern
from sen_host.errors import MissingLibrary
from sen_host.messages import HttpGet, Sleep, SleepComplete
driver = EffectDriver([parse_pattern("https://127.0.0.1:1")])
assert driver.handle(Sleep(1, 0)) == SleepComplete()
try:
    driver.handle(HttpGet(1, "https://127.0.0.1:1"))
except MissingLibrary as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'sen-host[http]'" in done.stdout


async def _nothing(seconds: float) -> None:
    pass


def test_an_effect_of_another_kind_is_refused() -> None:
    class Other(Effect):
        id = 1

    assert EffectDriver().handle(Other()) == EffectError(
        "the host does not do effects of this kind"
    )
