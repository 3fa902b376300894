"""The core of the effect driver: it decides everything and does nothing.

The design, in the manner of h11: an effect is a generator of *steps*
(``sen_host.effects.steps``). It yields one, and is sent the outcome or thrown a
``StepFailed``; it returns the result for the plugin. ``EffectRun`` has the state of one
run: how much of its time is used. The sync and the async side only do steps, so
they cannot differ in what is allowed. No clock, socket or thread is used here but the
clock that is given.

For each hop of a request, in this order:

1. the URL is read strictly (``url``); nothing parses it again;
2. scheme, host and port must be admitted by a granted pattern;
3. the name is resolved once, and *every* address must be allowed (``addresses``);
4. the connection goes to those addresses, not to the name;
5. a redirect starts again at 1, on a connection of its own.

Cookies are not kept, and headers that may be secrets do not follow to another origin.
"""

from __future__ import annotations

from sen_host.effects.addresses import parse_address, refusal
from sen_host.effects.body import BodyReader, text_of
from sen_host.effects.faults import (
    Broken,
    EffectRefused,
    StepFailed,
    TimedOut,
    Unresolved,
)
from sen_host.effects.headers import (
    find,
    for_plugin,
    for_redirect,
    on_the_wire,
    request_headers,
    response_headers,
)
from sen_host.effects.steps import HangUp, Head, Pause, Read, Resolve, Send
from sen_host.effects.url import parse_url
from sen_host.messages import HttpGet, HttpPost, HttpResponse, Sleep, SleepComplete
from sen_host.permissions.network import admits
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from sen_host.effects.addresses import Network
    from sen_host.effects.limits import EffectLimits
    from sen_host.effects.steps import Step, Steps
    from sen_host.effects.url import Url
    from sen_host.messages import Effect, Headers, NetPattern

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MOST_ADDRESSES = 16
"""Of a name; a connection is tried to all of them within its time."""


class Rules(NamedTuple):
    """What is granted."""

    net: tuple[NetPattern, ...]
    private_networks: tuple[Network, ...]
    limits: EffectLimits


class EffectRun:
    """The effects of one run of a plugin: what they have used so far.

    Args:
        rules: what is granted.
        clock: seconds from any point in the past, never backwards.
    """

    def __init__(self, rules: Rules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._spent = 0.0
        self._slept = 0.0

    def steps(self, effect: Effect) -> Steps:
        """The steps that do an effect.

        Raises (as it goes on):
            EffectRefused: it is not allowed, or failed.
        """
        started = self._clock()
        left = self._rules.limits.total_seconds - self._spent
        try:
            if left <= 0:
                raise EffectRefused("the time for effects of this run is used up")
            if isinstance(effect, Sleep):
                return (yield from self._sleep(effect, left))
            if isinstance(effect, (HttpGet, HttpPost)):
                seconds = min(left, self._rules.limits.request_seconds)
                request = _Request(effect, self._rules, self._clock, seconds)
                return (yield from request.steps())
            raise EffectRefused("the host does not do effects of this kind")
        finally:
            self._spent += self._clock() - started

    def _sleep(self, effect: Sleep, left: float) -> Steps:
        # A duration is up to 2**64 - 1, which a float takes.
        seconds = effect.duration_ms / 1000
        limits = self._rules.limits
        if seconds > limits.sleep_seconds:
            raise EffectRefused(f"the sleep is too long: at most {limits.sleep_seconds:g} s")
        if seconds > min(left, limits.total_sleep_seconds - self._slept):
            raise EffectRefused("the time for sleeps of this run is used up")
        self._slept += seconds
        yield Pause(seconds)
        return SleepComplete()


class _Request:
    """One HTTP effect, redirects among it."""

    def __init__(
        self,
        effect: HttpGet | HttpPost,
        rules: Rules,
        clock: Callable[[], float],
        seconds: float,
    ) -> None:
        self._effect = effect
        self._net, self._private, self._limits = rules
        self._clock = clock
        self._seconds = seconds
        self._deadline = clock() + seconds

    def steps(self) -> Generator[Step, Any, HttpResponse]:
        effect, limits = self._effect, self._limits
        if not self._net:
            raise EffectRefused("network access is not granted")
        method = "GET" if isinstance(effect, HttpGet) else "POST"
        body = effect.body.encode() if isinstance(effect, HttpPost) else None
        if body is not None and len(body) > limits.request_bytes:
            raise EffectRefused(f"the request's body has more than {limits.request_bytes:,} bytes")
        headers = request_headers(
            effect.headers,
            effect.content_type if isinstance(effect, HttpPost) else None,
            has_body=body is not None,
            limits=limits,
        )
        url = parse_url(effect.url)
        for _ in range(limits.redirects + 1):
            addresses = yield from self._admit(url)
            head = yield from self._send(url, addresses, method, headers, body)
            got = response_headers(head.headers, limits)
            target = self._redirect(url, head.status, got)
            if target is None:
                return (yield from self._response(url, head.status, got))
            yield HangUp()
            if head.status == 303 or (head.status in (301, 302) and method == "POST"):
                method, body = "GET", None
            headers = for_redirect(
                headers, same_origin=target.origin == url.origin, has_body=body is not None
            )
            url = target
        raise EffectRefused(f"more than {limits.redirects:,} redirects")

    def _admit(self, url: Url) -> Generator[Step, Any, tuple[str, ...]]:
        """Where to connect to for a URL, if that is granted."""
        matching = [
            pattern for pattern in self._net if admits(pattern, url.protocol, url.host, url.port)
        ]
        if not matching:
            raise EffectRefused(f"{url.origin} is not granted")
        literal = parse_address(url.host)
        by_name = any("*" not in pattern.host for pattern in matching)
        try:
            if literal is not None:
                addresses = (url.host,)
            else:
                found = yield Resolve(url.host, url.port, self._left(url))
                addresses = tuple(dict.fromkeys(found))[:_MOST_ADDRESSES]
            if not addresses:
                raise Unresolved("the name has no address")
            # A grant that spells out the address, or `localhost`, is meant as it stands.
            if not (by_name and literal is not None):
                self._check(addresses, loopback=by_name and url.host == "localhost")
        except StepFailed as failure:
            # One text for "no such name" and "an address inside": a plugin must not
            # learn which names there are in the host's network.
            raise EffectRefused(
                f"{url.host} cannot be reached", f"{url.origin}: {failure.reason}"
            ) from failure
        return addresses

    def _check(self, addresses: tuple[str, ...], *, loopback: bool) -> None:
        for text in addresses:
            address = parse_address(text)
            if address is None:
                raise Unresolved("the resolver answered with what is no address")
            if loopback and address.is_loopback:
                continue
            why = refusal(address, self._private)
            if why is not None:
                raise Unresolved(f"{why}, and its network is not granted")

    def _send(
        self,
        url: Url,
        addresses: tuple[str, ...],
        method: str,
        headers: Headers,
        body: bytes | None,
    ) -> Generator[Step, Any, Head]:
        left = self._left(url)
        send = Send(
            url,
            addresses,
            method,
            on_the_wire(headers, url, body),
            body,
            min(left, self._limits.connect_seconds),
            min(left, self._limits.read_seconds),
            left,
        )
        head: Head = yield from self._step(url, send)
        if head.status < 200:
            raise EffectRefused(f"{url.host} broke the protocol", f"status {head.status}")
        return head

    def _redirect(self, url: Url, status: int, headers: Headers) -> Url | None:
        location = find(headers, "location")
        if status not in _REDIRECTS or location is None or self._limits.redirects == 0:
            return None
        return url.join(location)

    def _response(
        self, url: Url, status: int, headers: Headers
    ) -> Generator[Step, Any, HttpResponse]:
        reader = BodyReader(find(headers, "content-encoding"), self._limits.body_bytes)
        while True:
            piece: bytes = yield from self._step(url, Read(self._left(url)))
            if not piece:
                break
            reader.feed(piece)
        body = text_of(reader.end(), find(headers, "content-type"))
        return HttpResponse(status, body, for_plugin(headers))

    def _step(self, url: Url, step: Step) -> Generator[Step, Any, Any]:
        try:
            return (yield step)
        except TimedOut as failure:
            text = f"{url.host} took too long"
            raise EffectRefused(text, f"{url.origin}: {failure.reason}") from failure
        except Broken as failure:
            text = f"{url.host} broke off or does not speak HTTP"
            raise EffectRefused(text, f"{url.origin}: {failure.reason}") from failure
        except StepFailed as failure:
            text = f"{url.host} cannot be reached"
            raise EffectRefused(text, f"{url.origin}: {failure.reason}") from failure

    def _left(self, url: Url) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise EffectRefused(
                f"{url.host} took too long",
                f"{url.origin}: the request took more than {self._seconds:g} s",
            )
        return left
