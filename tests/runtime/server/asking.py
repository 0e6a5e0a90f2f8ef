"""Real requests to a real server on loopback."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from mmedge.runtime.server import Server, ServerConfig

TOKEN = "a-token-that-nobody-guesses"


@contextmanager
def running(**config: Any) -> Iterator[Server]:
    server = Server(ServerConfig(**{"port": 0, **config}))
    server.start()
    try:
        yield server
    finally:
        server.close()


def get(
    server: Server,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes | None = None,
) -> tuple[int, Mapping[str, str], str]:
    """Status, headers (names in lower case) and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read().decode()
    finally:
        connection.close()


def listen(
    server: Server, path: str = "/ws", headers: Mapping[str, str] | None = None, **more: Any
) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{server.port}{path}",
        additional_headers=dict(headers or {}),
        proxy=None,
        close_timeout=0.2,
        **more,
    )


def heard(socket: ClientConnection) -> dict[str, Any]:
    told = json.loads(socket.recv(timeout=20))
    assert isinstance(told, dict)
    return told
