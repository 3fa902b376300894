"""``sen-host run`` with what it lets a plugin reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sen_host_conformance.hosts import Host
from tests.effects.server import Server, serving
from tests.test_cli.conftest import FETCH, Cli, on


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_a_granted_request_is_made(cli: Cli, server: Server, host: Host) -> None:
    url = server.url()
    answer = cli("run", *on(host), "--allow-net", "http://127.0.0.1", FETCH, url)
    assert answer == (0, f"200 {url} (5 bytes, text/plain)\nhello\n", "")


def test_grants_may_be_several(cli: Cli, server: Server) -> None:
    url = server.url()
    grant = f"http://127.0.0.1:{server.port}"
    assert cli("run", "--allow-net", "example.com", "--allow-net", grant, FETCH, url).code == 0


@pytest.mark.parametrize("grant", ["127.0.0.1", "http://127.0.0.1:1", "http://localhost"])
def test_another_grant_is_none(cli: Cli, server: Server, grant: str) -> None:
    url = server.url()
    answer = cli("run", "--allow-net", grant, FETCH, url)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr == (
        f"note: the plugin asked for HTTP GET {url}: {url[:-1]} is not granted\n"
        f"{url}: {url[:-1]} is not granted (3 attempts)\n"
    )
    assert server.requests == []


def test_the_user_learns_more_than_the_plugin(cli: Cli, server: Server) -> None:
    url = server.url(host="localhost")
    answer = cli("run", "--allow-net", "http://*", FETCH, url)
    note, message = answer.stderr.splitlines()
    assert note.endswith("is a loopback address, and its network is not granted")
    assert message == f"{url}: localhost cannot be reached (3 attempts)"
    private = ("--allow-private-net", "127.0.0.0/8", "--allow-private-net", "::1/128")
    assert cli("run", "--allow-net", "http://*", *private, FETCH, url).code == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--allow-net", "ftp://x"), "the network pattern 'ftp://x' is not valid: the scheme"),
        (("--allow-net", ""), "the network pattern '' is not valid"),
        (("--allow-net", "\x1b[2J"), "the network pattern '\\x1b[2J' is not valid"),
        (("--allow-private-net", "10.0.0.1/8"), "private_networks: 10.0.0.1/8 has host bits set"),
    ],
)
def test_what_is_no_grant_is_an_error_before_anything_runs(
    cli: Cli, options: tuple[str, ...], text: str
) -> None:
    answer = cli("run", *options, "no-such-file.wasm")
    assert (answer.code, answer.stdout) == (121, "")
    assert answer.stderr.startswith(f"error: {text}")


def test_json_has_nothing_but_the_answer_on_stdout(cli: Cli, server: Server) -> None:
    answer = cli("run", "--json", "--allow-net", "http://127.0.0.2", FETCH, server.url())
    assert answer.json["result"]["Error"]["code"] == 1
