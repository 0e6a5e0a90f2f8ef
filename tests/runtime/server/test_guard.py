from __future__ import annotations

import socket

import pytest
from websockets.exceptions import InvalidStatus

from mmedge.errors import ConfigError
from mmedge.runtime.server import Server, ServerConfig
from tests.runtime.server.asking import TOKEN, get, listen, running

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def refusal(server: Server, path: str = "/ws", **headers: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        listen(server, path, {name.replace("_", "-"): each for name, each in headers.items()})
    return refused.value.response.status_code


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:80", 200),
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8080", 200),
        ("wall.example:8080", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.7", 421),
        ("0.0.0.0", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
    ],
)
def test_a_server_on_loopback_answers_only_to_its_own_names(host: str, code: int) -> None:
    with running(hosts=("wall.example",)) as server:
        assert get(server, "/healthz", {"Host": host})[0] == code


def test_a_foreign_name_does_not_open_a_websocket_either() -> None:
    with (
        running() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw,
    ):
        raw.sendall(
            b"GET /ws HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert raw.recv(1_000).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://127.0.0.1:{port}", 200),
        ("https://wall.example", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1:1", 403),
        ("http://127.0.0.1", 403),
        ("http://localhost:{port}", 403),
        ("https://wall.example.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
    ],
)
def test_a_page_from_elsewhere_may_not_ask(origin: str, code: int) -> None:
    with running(origins=("https://wall.example",)) as server:
        told = {"Origin": origin.format(port=server.port)}
        assert get(server, "/metrics", told)[0] == code
        if code == 200:
            with listen(server, headers=told):
                pass
        else:
            assert refusal(server, **told) == 403


def test_without_the_token_nothing_is_answered() -> None:
    with running(token=TOKEN) as server:
        for path in ("/healthz", "/readyz", "/metrics", "/missing", "/ws"):
            code, headers, body = get(server, path)
            assert (code, headers["www-authenticate"]) == (401, "Bearer")
            assert TOKEN not in body
        assert get(server, "/healthz", BEARER)[0] == 200
        for wrong in (TOKEN[:-1], TOKEN + "x", "", "\u00e9" * 27):
            told = {"Authorization": f"Bearer {wrong}".encode().decode("latin-1")}
            assert get(server, "/healthz", told)[0] == 401
        assert get(server, "/healthz", {"Authorization": f"Basic {TOKEN}"})[0] == 401
        # A query ends up in histories and in other people's logs: for WebSockets alone.
        assert get(server, f"/healthz?token={TOKEN}")[0] == 401


def test_a_websocket_may_bring_the_token_in_its_query_or_its_header() -> None:
    with running(token=TOKEN) as server:
        with listen(server, f"/ws?token={TOKEN}"), listen(server, "/ws", BEARER):
            pass
        assert refusal(server) == 401
        assert refusal(server, "/ws?token=wrong") == 401
        assert refusal(server, Authorization="Bearer wrong") == 401


def test_beyond_loopback_a_token_is_needed_to_begin_with() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.7"):
        with pytest.raises(ConfigError, match=f"listens on {host}.* must ask for a token"):
            ServerConfig(host=host)
        ServerConfig(host=host, token=TOKEN)


def test_beyond_loopback_addresses_and_the_machines_own_name_are_answered_to() -> None:
    with running(host="0.0.0.0", token=TOKEN) as server:
        own = socket.gethostname()
        for host in ("192.168.1.7:8080", "[fe80::1]", own, f"{own}.local", "localhost"):
            assert get(server, "/healthz", {**BEARER, "Host": host})[0] == 200
        assert get(server, "/healthz", {**BEARER, "Host": "evil.example"})[0] == 421
        assert get(server, "/healthz")[0] == 401


def test_nothing_can_be_sent() -> None:
    with running() as server:
        assert get(server, "/healthz", method="POST", body=b"")[0] == 405
        assert get(server, "/healthz", method="POST", body=b"x" * 10)[0] == 413
        assert get(server, "/healthz", {"Content-Length": str(10**12)})[0] == 413
        chunked = {"Transfer-Encoding": "chunked"}
        assert get(server, "/healthz", chunked, method="POST")[0] == 413


def test_endless_headers_are_refused() -> None:
    with (
        running() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw,
    ):
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        raw.sendall(b"x" * 20_000)
        assert raw.recv(1_000).startswith(b"HTTP/1.1 400 ")


def test_an_answer_tells_a_browser_not_to_guess_store_or_hand_it_on() -> None:
    with running() as server:
        _, headers, _ = get(server, "/healthz")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"host": "wall.example"}, "must be an IP address"),
        ({"port": 70_000}, "port=70000"),
        ({"token": "short"}, "16 to 256 visible ASCII"),
        ({"token": "a token with spaces in it"}, "no spaces"),
        ({"origins": ("wall.example",)}, "must look like"),
        ({"origins": ("https://wall.example/",)}, "must look like"),
        ({"clients": 0}, "clients=0"),
        ({"queue": 0}, "queue=0"),
        ({"connections": 20}, "24 or more"),
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        ServerConfig(**wrong)  # type: ignore[arg-type]
    assert str(wrong.get("token", "-no token-")) not in str(refused.value)


def test_a_configuration_does_not_show_its_token() -> None:
    assert TOKEN not in repr(ServerConfig(token=TOKEN))
