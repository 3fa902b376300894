"""The core: what is allowed is decided without a socket."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host import EffectLimits
from sen_host.effects.addresses import refusal
from sen_host.effects.faults import Broken, StepFailed, TimedOut, Unreachable
from sen_host.effects.steps import HangUp, Resolve, Send
from sen_host.messages import (
    EffectError,
    HttpGet,
    HttpPost,
    HttpResponse,
    Sleep,
    SleepComplete,
)
from tests.effects.world import Answer, World

PUBLIC = {"a.example": ["8.8.8.8"], "b.example": ["1.1.1.1"], "inside.example": ["10.0.0.5"]}


def get(url: str, *headers: tuple[str, str]) -> HttpGet:
    return HttpGet(1, url, headers)


def to(location: str, status: int = 302) -> Answer:
    return Answer(status, {"location": location})


class TestGrants:
    def test_a_granted_request_goes_to_the_address_that_was_checked(self) -> None:
        world = World("a.example", names=PUBLIC)
        assert world.do(get("https://A.example/x?y")) == HttpResponse(200, "ok")
        [send] = world.sent
        assert send.addresses == ("8.8.8.8",)
        assert send.url.host == "a.example"
        assert (b"host", b"a.example") in send.headers
        assert [step.host for step in world.steps if isinstance(step, Resolve)] == ["a.example"]

    def test_without_a_grant_not_even_the_name_is_looked_up(self) -> None:
        world = World()
        assert world.do(get("https://a.example")) == EffectError("network access is not granted")
        world = World("a.example:8443", "http://b.example")
        for url in ("https://a.example", "http://a.example:8443", "https://b.example", "http://c"):
            answer = world.do(get(url))
            assert isinstance(answer, EffectError)
            assert answer.message.endswith("is not granted")
        assert world.steps == []

    @pytest.mark.parametrize(
        ("grant", "url", "addresses"),
        [
            ("http://127.0.0.1", "http://127.0.0.1:81", ["127.0.0.1"]),
            ("http://[::1]", "http://[::1]", ["::1"]),
            ("http://169.254.169.254", "http://169.254.169.254/latest", ["169.254.169.254"]),
            ("http://localhost", "http://LOCALHOST:81", ["127.0.0.1", "::1"]),
            ("http://*", "http://8.8.8.8", ["8.8.8.8"]),
        ],
    )
    def test_what_is_spelled_out_is_granted(
        self, grant: str, url: str, addresses: list[str]
    ) -> None:
        world = World(grant, names={"localhost": addresses})
        assert isinstance(world.do(get(url)), HttpResponse)
        assert world.sent[0].addresses == tuple(addresses)

    @pytest.mark.parametrize(
        ("grant", "url"),
        [
            ("http://*", "http://127.0.0.1"),
            ("http://*", "http://[::1]"),
            ("http://*", "http://169.254.169.254"),
            ("http://*", "http://localhost"),
            ("http://*.example", "http://inside.example"),
            ("http://inside.example", "http://inside.example"),
            ("http://localhost", "http://127.0.0.1"),
            ("http://127.0.0.1", "http://localhost"),
        ],
    )
    def test_what_only_leads_inside_is_not(self, grant: str, url: str) -> None:
        world = World(grant, names={**PUBLIC, "localhost": ["127.0.0.1"]})
        assert isinstance(world.do(get(url)), EffectError)
        assert world.sent == []

    def test_localhost_is_the_loopback_only(self) -> None:
        world = World("http://localhost", names={"localhost": ["127.0.0.1", "10.0.0.5"]})
        assert isinstance(world.do(get("http://localhost")), EffectError)
        assert world.sent == []

    def test_one_bad_address_is_enough(self) -> None:
        world = World("a.example", names={"a.example": ["8.8.8.8", "::ffff:127.0.0.1"]})
        assert world.do(get("https://a.example")) == EffectError("a.example cannot be reached")
        assert "::ffff:7f00:1" in world.reason or "::ffff:127.0.0.1" in world.reason
        assert world.sent == []

    def test_a_private_network_may_be_granted(self) -> None:
        world = World("inside.example", names=PUBLIC, private=["10.0.0.0/24"])
        assert isinstance(world.do(get("https://inside.example")), HttpResponse)

    def test_a_plugin_cannot_tell_an_inner_name_from_none(self) -> None:
        world = World("*", names=PUBLIC)
        inner, none = world.do(get("https://inside.example")), world.do(get("https://none.example"))
        assert inner == EffectError("inside.example cannot be reached")
        assert none == EffectError("none.example cannot be reached")
        assert "10." not in repr(inner)

    @pytest.mark.parametrize("answer", [[], ["not an address"], ["8.8.8.8", ""]])
    def test_a_resolver_that_makes_no_sense(self, answer: list[str]) -> None:
        world = World("*", names={"a.example": answer})
        assert world.do(get("https://a.example")) == EffectError("a.example cannot be reached")


class TestRedirects:
    def test_each_hop_is_checked_and_resolved_again(self) -> None:
        world = World("*.example", names=PUBLIC, answers=[to("https://b.example/x"), Answer()])
        assert isinstance(world.do(get("https://a.example")), HttpResponse)
        assert [send.addresses for send in world.sent] == [("8.8.8.8",), ("1.1.1.1",)]
        assert [type(step) for step in world.steps[:4]] == [Resolve, Send, HangUp, Resolve]

    @pytest.mark.parametrize(
        "location",
        [
            "https://b.example/",
            "http://a.example/",
            "https://a.example:444/",
            "https://127.0.0.1/",
            "https://inside.example/",
            "//user@a.example/",
            "ftp://a.example/",
        ],
    )
    def test_a_hop_that_is_not_granted_is_the_end(self, location: str) -> None:
        world = World("a.example:443", "*.inside.example", names=PUBLIC, answers=[to(location)])
        assert isinstance(world.do(get("https://a.example")), EffectError)
        assert len(world.sent) == 1

    def test_to_http_only_if_that_is_granted(self) -> None:
        answers = [to("http://a.example/"), Answer()]
        world = World("a.example", "http://a.example", names=PUBLIC, answers=answers)
        assert isinstance(world.do(get("https://a.example")), HttpResponse)
        assert [send.url.scheme for send in world.sent] == ["https", "http"]

    @pytest.mark.parametrize("most", [1, 3])
    def test_not_for_ever(self, most: int) -> None:
        limits = EffectLimits(redirects=most)
        world = World("a.example", names=PUBLIC, answers=[to("/again")], limits=limits)
        assert world.do(get("https://a.example")) == EffectError(f"more than {most} redirects")
        assert len(world.sent) == most + 1

    def test_none_are_followed_if_none_may_be(self) -> None:
        limits = EffectLimits(redirects=0)
        world = World("a.example", names=PUBLIC, answers=[to("/again")], limits=limits)
        answer = world.do(get("https://a.example"))
        assert answer == HttpResponse(302, "ok", (("location", "/again"),))

    @pytest.mark.parametrize(
        ("status", "method"),
        [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")],
    )
    def test_what_becomes_of_a_post(self, status: int, method: str) -> None:
        world = World("a.example", names=PUBLIC, answers=[to("/b", status), Answer()])
        world.do(HttpPost(1, "https://a.example", "body", "text/x"))
        last = world.sent[-1]
        assert (last.method, last.body) == (method, b"body" if method == "POST" else None)
        names = [name for name, _ in last.headers]
        assert (b"content-type" in names) == (b"content-length" in names) == (method == "POST")

    def test_secrets_stay_with_their_origin(self) -> None:
        secret = (("Authorization", "s"), ("Cookie", "s"), ("X-Api-Key", "s"), ("Accept", "a/b"))
        answers = [to("/same"), to("https://a.example:444/"), Answer()]
        world = World("a.example", names=PUBLIC, answers=answers)
        world.do(get("https://a.example", *secret))
        seen = [{name for name, value in send.headers if value == b"s"} for send in world.sent]
        assert seen == [{b"authorization", b"cookie", b"x-api-key"}] * 2 + [set()]
        assert (b"accept", b"a/b") in world.sent[-1].headers

    def test_cookies_are_not_kept(self) -> None:
        answers = [Answer(302, {"set-cookie": "a=b", "location": "/"}), Answer()]
        world = World("a.example", names=PUBLIC, answers=answers)
        world.do(get("https://a.example"))
        assert all(name != b"cookie" for send in world.sent for name, _ in send.headers)

    def test_a_redirect_without_a_place_is_an_answer(self) -> None:
        world = World("a.example", names=PUBLIC, answers=[Answer(302), Answer(304)])
        assert world.do(get("https://a.example")) == HttpResponse(302, "ok")


class TestFailures:
    @pytest.mark.parametrize(
        ("failure", "text"),
        [
            (TimedOut("10.1.1.1 secret"), "a.example took too long"),
            (Broken("10.1.1.1 secret"), "a.example broke off or does not speak HTTP"),
            (Unreachable("10.1.1.1 secret"), "a.example cannot be reached"),
        ],
    )
    def test_the_plugin_learns_what_but_not_where(self, failure: StepFailed, text: str) -> None:
        world = World("a.example", names=PUBLIC, answers=[failure])
        assert world.do(get("https://a.example")) == EffectError(text)
        assert world.reason == "https://a.example: 10.1.1.1 secret"

    def test_a_whole_request_has_an_end(self) -> None:
        limits = EffectLimits(request_seconds=5, redirects=100)
        world = World("a.example", names=PUBLIC, answers=[to("/")], limits=limits, seconds=1)
        assert world.do(get("https://a.example")) == EffectError("a.example took too long")
        assert world.reason == "https://a.example: the request took more than 5 s"
        assert world.now == 1_005

    def test_a_body_without_end_has_one(self) -> None:
        answers = [Answer(body=[b"x"] * 1_000)]
        world = World("a.example", names=PUBLIC, answers=answers, seconds=1)
        assert isinstance(world.do(get("https://a.example")), EffectError)
        assert world.now == 1_060

    def test_no_step_may_take_longer_than_what_is_left(self) -> None:
        limits = EffectLimits(request_seconds=5, connect_seconds=3, read_seconds=10)
        world = World("a.example", names=PUBLIC, limits=limits, seconds=1)
        world.do(get("https://a.example"))
        [send] = world.sent
        assert (send.connect_seconds, send.read_seconds, send.seconds) == (3, 4, 4)
        assert world.steps[0].seconds == 5  # type: ignore[union-attr]

    def test_all_effects_of_a_run_share_their_time(self) -> None:
        limits = EffectLimits(total_seconds=3)
        world = World("a.example", names=PUBLIC, limits=limits, seconds=1)
        assert isinstance(world.do(get("https://a.example")), EffectError)
        assert world.do(Sleep(2, 0)) == EffectError(
            "the time for effects of this run is used up"
        )  # fmt: skip

    def test_a_large_post_is_not_sent(self) -> None:
        world = World("a.example", names=PUBLIC, limits=EffectLimits(request_bytes=3))
        assert isinstance(world.do(HttpPost(1, "https://a.example", "abc")), HttpResponse)
        assert isinstance(world.do(HttpPost(1, "https://a.example", "abü")), EffectError)
        assert len(world.sent) == 1


class TestSleep:
    LIMITS = EffectLimits(sleep_seconds=2, total_sleep_seconds=5, total_seconds=60)

    def test_a_sleep_is_slept(self) -> None:
        world = World()
        assert world.do(Sleep(1, 1_500)) == SleepComplete()
        assert world.now == 1_001.5

    @pytest.mark.parametrize("milliseconds", [2_001, 2**64 - 1])
    def test_a_long_one_is_refused_at_once(self, milliseconds: int) -> None:
        world = World(limits=self.LIMITS)
        answer = world.do(Sleep(1, milliseconds))
        assert answer == EffectError("the sleep is too long: at most 2 s")
        assert world.steps == []

    def test_many_come_to_an_end(self) -> None:
        world = World(limits=self.LIMITS)
        answers = [world.do(Sleep(number, 2_000)) for number in range(4)]
        refused = EffectError("the time for sleeps of this run is used up")
        assert answers == [SleepComplete(), SleepComplete(), refused, refused]
        assert world.now == 1_004
        assert world.do(Sleep(1, 1_000)) == SleepComplete()


ADDRESSES = st.sampled_from(
    ["8.8.8.8", "1.1.1.1", "10.0.0.1", "127.0.0.1", "::1", "2606:4700::1", "::ffff:8.8.8.8", "x"]
)
HOSTS = st.sampled_from(["a.example", "b.example", "localhost", "127.0.0.1", "8.8.8.8", "[::1]"])
URLS = st.builds(
    "{}://{}{}".format, st.sampled_from(["http", "https"]), HOSTS, st.sampled_from(["", ":81", "/"])
)
GRANTS = st.sampled_from(
    "* http://* a.example http://*.example http://a.example:81 http://localhost http://127.0.0.1"
    " https://[::1]:81".split()
)


@given(
    grants=st.sets(GRANTS),
    names=st.dictionaries(HOSTS, st.lists(ADDRESSES, max_size=3)),
    hops=st.lists(st.builds(to, URLS), min_size=1, max_size=5),
    url=URLS,
)
def test_whatever_the_names_and_servers_say_no_request_leaves_what_is_granted(
    grants: set[str], names: dict[str, list[str]], hops: list[Answer], url: str
) -> None:
    world = World(*grants, names=names, answers=[*hops, Answer()])
    world.do(get(url))
    for send in world.sent:
        schemes = {grant.partition("://")[0] if "://" in grant else "https" for grant in grants}
        assert send.url.scheme in schemes
        host = f"[{send.url.host}]" if ":" in send.url.host else send.url.host
        spelled_out = any(host in grant for grant in grants)
        for text in send.addresses:
            address = ipaddress.ip_address(text)
            if refusal(address, ()) is not None:
                assert spelled_out
                assert address.is_loopback
            if host not in ("127.0.0.1", "8.8.8.8", "[::1]"):
                assert text in names[host]
