"""Whom the server answers: the right Host, the right Origin, the token, and no body."""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmedge.runtime.server.config import ServerConfig

__all__ = ["Guard"]

# One request per connection: nothing is gained here by keeping them, and none can be kept
# busy. The rest tells a browser not to guess, store or hand on what it gets.
_HEADERS = (
    (b"connection", b"close"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """Stands before the whole application, a later dashboard included."""

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self._app = app
        self._config = config
        own = socket.gethostname().lower()
        names = () if config.loopback else (own, f"{own}.local")
        self._names = frozenset({"localhost", *names, *map(str.lower, config.hosts)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a refusal, or hand the request on."""
        if scope["type"] not in {"http", "websocket"}:
            return
        given = _take_tokens(scope)
        refused = self._refusal(scope, given)
        answer = self._app if refused is None else refused
        await answer(scope, receive, send if scope["type"] == "websocket" else _closing(send))

    def _refusal(self, scope: Scope, given: list[str]) -> PlainTextResponse | None:
        host = _header(scope, b"host")
        origin = _header(scope, b"origin")
        if host is None or not self._called(host):
            told = "This server is not called so. Its configuration ('hosts') can allow the name."
            return PlainTextResponse(told + "\n", 421)
        if origin is not None and not self._from_here(origin, host):
            told = "A page from elsewhere may not ask. The configuration ('origins') can allow it."
            return PlainTextResponse(told + "\n", 403)
        if self._config.token and not _right(given, self._config.token):
            told = "The token is missing or wrong. Send 'Authorization: Bearer TOKEN'."
            return PlainTextResponse(told + "\n", 401, {"WWW-Authenticate": "Bearer"})
        if _header(scope, b"content-length") not in {None, "0"} or (
            _header(scope, b"transfer-encoding") is not None
        ):
            return PlainTextResponse("Nothing is to be sent here.\n", 413)
        return None

    def _called(self, host: str) -> bool:
        """Tell whether a Host header names this server; an address cannot be rebound."""
        match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?", host.lower())
        if match is None:
            return False
        name = match[1] or match[2]
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._config.loopback

    def _from_here(self, origin: str, host: str) -> bool:
        if origin in self._config.origins:
            return True
        try:
            asking, asked = urlsplit(origin), urlsplit(f"{urlsplit(origin).scheme}://{host}")
            return bool(asking.hostname) and _place(asking) == _place(asked)
        except ValueError:
            return False


def _place(url: SplitResult) -> tuple[str | None, int | None]:
    return url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _header(scope: Scope, name: bytes) -> str | None:
    values = [value for key, value in scope["headers"] if key == name]
    # Twice is once too often: then nobody knows which one counts.
    return None if not values else values[0].decode("latin-1") if len(values) == 1 else "\0"


def _take_tokens(scope: Scope) -> list[str]:
    """Take the tokens out of a request, so that no log can show them."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != "token"]).encode()
    given = []
    if scope["type"] == "websocket":  # where a browser cannot send a header of its own
        given = [value for key, value in pairs if key == "token"]
    scheme, _, value = (_header(scope, b"authorization") or "").partition(" ")
    return [*given, value.strip()] if scheme.lower() == "bearer" else given


def _right(given: Iterable[str], token: str) -> bool:
    """Compare in a time that tells nothing about the token."""
    return any(hmac.compare_digest(each.encode(), token.encode()) for each in given)


def _closing(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return with_headers
