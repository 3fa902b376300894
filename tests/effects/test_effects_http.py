"""Requests to a real server, done the sync and the async way."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
from pathlib import Path
from shutil import which

import pytest

from sen_host import EffectDriver, EffectLimits, __version__
from sen_host.effects import EffectReport, parse_pattern
from sen_host.messages import Effect, EffectError, EffectResult, HttpGet, HttpPost, HttpResponse
from tests.effects.conftest import Do
from tests.effects.server import BOMB, Server, resolving, serving

SHORT = EffectLimits(request_seconds=0.3)
SMALL = EffectLimits(body_bytes=100_000)


def driver(limits: EffectLimits | None = None, *grants: str) -> EffectDriver:
    net = [parse_pattern(grant) for grant in grants or ("http://127.0.0.1",)]
    return EffectDriver(net, limits=limits or EffectLimits())


class TestAnswers:
    def test_a_get(self, server: Server, do: Do) -> None:
        answer = do(driver(), HttpGet(1, server.url("/plain?q=1"), (("X-A", "b"),)))
        assert answer == HttpResponse(200, "hello", (("content-type", "text/plain"),))
        [request] = server.requests
        assert (request.method, request.target, request.body) == ("GET", "/plain?q=1", b"")
        assert request.headers == {
            "host": f"127.0.0.1:{server.port}",
            "x-a": "b",
            "accept": "*/*",
            "user-agent": f"sen-host/{__version__}",
            "accept-encoding": "gzip",
            "connection": "close",
        }

    def test_a_post(self, server: Server, do: Do) -> None:
        body = "grüße " * 50_000
        answer = do(driver(), HttpPost(1, server.url("/echo"), body, "text/x; charset=utf-8"))
        assert answer == HttpResponse(200, body, (("content-type", "text/x; charset=utf-8"),))
        assert server.requests[0].method == "POST"

    @pytest.mark.parametrize(("path", "body"), [("gzip", "zipped"), ("chunked", "onetwo")])
    def test_bodies_in_other_forms(self, server: Server, do: Do, path: str, body: str) -> None:
        assert do(driver(), HttpGet(1, server.url(f"/{path}"))) == HttpResponse(200, body)

    @pytest.mark.parametrize(
        "charset", ["utf-8,utf-8", "latin1,cp1252", "utf-16le,utf-16-le", "gbk,gb18030"]
    )
    def test_text_in_other_charsets(self, server: Server, do: Do, charset: str) -> None:
        answer = do(driver(), HttpGet(1, server.url(f"/unicode?{charset}")))
        assert isinstance(answer, HttpResponse)
        assert answer.body == "grüße €"

    @pytest.mark.parametrize("status", [204, 404, 500, 599])
    def test_any_status_is_an_answer(self, server: Server, do: Do, status: int) -> None:
        answer = do(driver(), HttpGet(1, server.url(f"/status?{status}")))
        assert answer == HttpResponse(status, "")

    def test_a_connection_that_is_kept_open_is_closed_by_us(self, server: Server, do: Do) -> None:
        for _ in range(2):
            answer = do(driver(), HttpGet(1, server.url("/keep_alive")))
            assert isinstance(answer, HttpResponse)
            assert answer.body == "kept"
        assert server.connections == 2

    def test_a_redirect_is_followed_without_cookies(self, server: Server, do: Do) -> None:
        answer = do(driver(), HttpGet(1, server.url("/cookie")))
        assert isinstance(answer, HttpResponse)
        assert answer.body == "hello"
        assert "cookie" not in server.requests[1].headers

    def test_the_environment_plays_no_part(
        self, server: Server, do: Do, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password secret")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert isinstance(do(driver(), HttpGet(1, server.url())), HttpResponse)
        assert "authorization" not in server.requests[0].headers


class TestBadServers:
    @pytest.mark.parametrize("path", ["hang", "drip", "drip_head"])
    def test_slow_ones_are_ended(self, server: Server, do: Do, path: str) -> None:
        answer = do(driver(SHORT), HttpGet(1, server.url(f"/{path}")))
        assert answer == EffectError("127.0.0.1 took too long")

    def test_a_silent_one_is_ended_earlier(self, server: Server, do: Do) -> None:
        limits = EffectLimits(read_seconds=0.2)
        answer = do(driver(limits), HttpGet(1, server.url("/hang")))
        assert answer == EffectError("127.0.0.1 took too long")

    @pytest.mark.parametrize("path", ["huge", "bomb"])
    def test_large_bodies_are_stopped(self, server: Server, do: Do, path: str) -> None:
        answer = do(driver(SMALL), HttpGet(1, server.url(f"/{path}")))
        assert answer == EffectError("the response's body has more than 100,000 bytes")

    @pytest.mark.parametrize("path", ["garbage", "reset", "short", "switch", "long_header?1000000"])
    def test_broken_ones(self, server: Server, do: Do, path: str) -> None:
        answer = do(driver(), HttpGet(1, server.url(f"/{path}")))
        assert answer == EffectError("127.0.0.1 broke off or does not speak HTTP")

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("cut_gzip", "the response's compressed body ends too early"),
            ("brotli", "the response is compressed in a way that was not asked for"),
            ("many_headers?100", "the response has more than 100 headers"),
            ("long_header?70000", "the headers of the response have more than 65,536 bytes"),
            ("forever", "more than 10 redirects"),
            ("redirect?302,http://127.0.0.2/", "http://127.0.0.2 is not granted"),
        ],
    )
    def test_others(self, server: Server, do: Do, path: str, text: str) -> None:
        assert do(driver(), HttpGet(1, server.url(f"/{path}"))) == EffectError(text)

    def test_one_that_is_not_there(self, do: Do) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        answer = do(driver(), HttpGet(1, f"http://127.0.0.1:{port}"))
        assert answer == EffectError("127.0.0.1 cannot be reached")

    def test_one_that_does_not_take_connections(self, do: Do) -> None:
        limits = EffectLimits(connect_seconds=0.2)
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            port = full.getsockname()[1]
            waiting = [socket.socket() for _ in range(3)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            answer = do(driver(limits), HttpGet(1, f"http://127.0.0.1:{port}"))
            for each in waiting:
                each.close()
        assert answer == EffectError("127.0.0.1 took too long")


class TestNames:
    """A second name of the server, and what a name leads to."""

    def named(self, resolver: object, *grants: str) -> EffectDriver:
        return EffectDriver(
            [parse_pattern(grant) for grant in grants or ("http://site.example",)],
            private_networks=["127.0.0.0/8"],
            resolver=resolver,  # type: ignore[arg-type]
        )

    def test_the_host_header_has_the_name(self, server: Server, do: Do) -> None:
        named = self.named(resolving(site_example="127.0.0.1"))
        answer = do(named, HttpGet(1, server.url(host="site.example")))
        assert isinstance(answer, HttpResponse)
        assert server.requests[0].headers["host"] == f"site.example:{server.port}"

    def test_the_next_address_is_tried(self, server: Server, do: Do) -> None:
        named = self.named(resolving(site_example=["127.0.0.9", "127.0.0.1"]))
        answer = do(named, HttpGet(1, server.url(host="site.example")))
        assert isinstance(answer, HttpResponse)

    def test_a_name_that_changes_its_address_is_looked_up_once(
        self, server: Server, do: Do
    ) -> None:
        answers = [["127.0.0.1"], ["10.0.0.1"]]
        named = self.named(lambda host, port: answers.pop(0))
        first = do(named, HttpGet(1, server.url(host="site.example")))
        second = do(named, HttpGet(2, server.url(host="site.example")))
        assert isinstance(first, HttpResponse)
        assert second == EffectError("site.example cannot be reached")
        assert answers == []
        assert len(server.requests) == 1

    def test_a_redirect_to_another_name(self, server: Server, do: Do) -> None:
        resolver = resolving(site_example="127.0.0.1", other_example="127.0.0.1")
        url = server.url(f"/redirect?302,{server.url(host='other.example')}", "site.example")
        answer = do(self.named(resolver), HttpGet(1, url, (("Cookie", "secret"),)))
        assert answer == EffectError(f"http://other.example:{server.port} is not granted")
        answer = do(self.named(resolver, "http://*.example"), HttpGet(1, url, (("Cookie", "s"),)))
        assert isinstance(answer, HttpResponse)
        assert server.requests[-1].headers["host"] == f"other.example:{server.port}"
        assert "cookie" not in server.requests[-1].headers

    def test_a_resolver_that_hangs_is_not_waited_for(self, server: Server, do: Do) -> None:
        from threading import Event

        asked = Event()
        slow = EffectDriver(
            [parse_pattern("http://*")],
            limits=EffectLimits(request_seconds=0.2),
            resolver=lambda host, port: asked.wait(20) or [],  # type: ignore[arg-type,return-value]
        )
        answer = do(slow, HttpGet(1, "http://site.example"))
        asked.set()
        assert answer == EffectError("site.example cannot be reached")

    def test_the_system_is_asked_for_localhost(self, server: Server, do: Do) -> None:
        answer = do(driver(None, "http://localhost"), HttpGet(1, server.url(host="localhost")))
        assert isinstance(answer, HttpResponse)


class TestReports:
    def test_the_host_learns_more_than_the_plugin(self, server: Server, do: Do) -> None:
        told: list[EffectReport] = []
        watched = EffectDriver([parse_pattern("http://127.0.0.1")], observer=told.append)
        do(watched, HttpGet(1, server.url("/unicode?utf-8,utf-8")))
        do(watched, HttpGet(2, server.url("/garbage")))
        good, bad = told
        assert (good.reason, good.status, good.body_bytes) == (None, 200, 12 - 1)
        assert (bad.status, bad.body_bytes) == (None, None)
        assert bad.reason is not None
        assert "220 mail.example.com" in bad.reason
        assert good.seconds > 0

    def test_a_reason_is_of_bounded_length(self, server: Server, do: Do) -> None:
        told: list[EffectReport] = []
        watched = EffectDriver([parse_pattern("http://127.0.0.1")], observer=told.append)
        do(watched, HttpGet(1, server.url("/long_status")))
        assert told[0].reason is not None
        assert len(told[0].reason) < 400


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for site.example, that signs itself, with its key."""
    openssl = which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=site.example"),
            *("-addext", "subjectAltName=DNS:site.example"),
            *("-keyout", str(folder / "both.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    with (folder / "both.pem").open("a") as both:
        both.write((folder / "certificate.pem").read_text())
    return folder


class TestTls:
    def ask(
        self, certificate: Path, do: Do, host: str, *, trusted: bool
    ) -> tuple[EffectResult, list[str | None]]:
        names: list[str | None] = []
        serve = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serve.load_cert_chain(certificate / "both.pem")
        serve.sni_callback = lambda _socket, name, _context: names.append(name)
        trust = ssl.create_default_context(cafile=certificate / "certificate.pem")
        with serving(serve) as server:
            secure = EffectDriver(
                [parse_pattern("*.example")],
                private_networks=["127.0.0.0/8"],
                resolver=resolving(site_example="127.0.0.1", other_example="127.0.0.1"),
                tls=trust if trusted else None,
            )
            effect: Effect = HttpGet(1, server.url(host=host))
            return do(secure, effect), names

    def test_the_name_is_asked_for_and_checked(self, certificate: Path, do: Do) -> None:
        answer, names = self.ask(certificate, do, "site.example", trusted=True)
        assert isinstance(answer, HttpResponse)
        assert names == ["site.example"]

    def test_a_certificate_for_another_name(self, certificate: Path, do: Do) -> None:
        answer, names = self.ask(certificate, do, "other.example", trusted=True)
        assert answer == EffectError("other.example cannot be reached")
        assert names == ["other.example"]

    def test_a_certificate_that_nobody_signed(self, certificate: Path, do: Do) -> None:
        answer, _ = self.ask(certificate, do, "site.example", trusted=False)
        assert answer == EffectError("site.example cannot be reached")


def test_the_bomb_of_the_tests_is_one() -> None:
    assert len(BOMB) < 100_000
    assert len(gzip.decompress(BOMB)) == 64 << 20
