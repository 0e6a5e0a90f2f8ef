"""Where the server listens, whom it answers, and how much it may hold."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from mmedge.errors import ConfigError

__all__ = ["ServerConfig"]

MIN_TOKEN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The HTTP face.

    Attributes:
        host: the IP address to listen on, or ``localhost``. Any that is not loopback
            needs a token.
        port: 0 takes a free one.
        token: what every request has to carry; empty: none is asked for. Never shown.
        hosts: names, beside addresses and ``localhost``, by which the server may be
            called: what a browser shows as the page's host. Others are refused, because
            a page from elsewhere can point a name of its own at this machine (DNS
            rebinding).
        origins: pages from elsewhere that may ask all the same: ``https://wall.example``.
        clients: WebSockets at most; more are told 503.
        connections: connections of any kind at most. One that has asked nothing yet
            makes way for a newer one.
        queue: messages that wait for a reader that is slower than they come; the oldest
            make way.
        request_ms: a request that is not through after so long is cut off.
        stall_ms: a WebSocket that takes nothing for so long is cut off.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    clients: int = 16
    connections: int = 64
    queue: int = 32
    request_ms: int = 10_000
    stall_ms: int = 30_000

    def __post_init__(self) -> None:
        self._check_address()
        self._check_token()
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s?#@]+", origin):
                raise ConfigError(f"origin {origin!r} must look like 'https://wall.example'.")
        for name in ("clients", "queue", "request_ms", "stall_ms"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        if self.connections < self.clients + 8:
            raise ConfigError(
                f"connections={self.connections} must leave room for other requests beside "
                f"{self.clients} WebSockets: {self.clients + 8} or more."
            )

    def _check_address(self) -> None:
        try:
            ipaddress.ip_address(self.address)
        except ValueError as exc:
            told = f"host {self.host!r} must be an IP address of this machine, or 'localhost'."
            raise ConfigError(f"{told} '0.0.0.0' listens on all of its IPv4 addresses.") from exc
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port={self.port} must lie in 0..65535.")

    def _check_token(self) -> None:
        if self.token and not re.fullmatch(rf"[!-~]{{{MIN_TOKEN},256}}", self.token):
            raise ConfigError(
                f"the token must have {MIN_TOKEN} to 256 visible ASCII characters and no spaces, "
                f"and this one has {len(self.token)} characters."
            )
        if not self.token and not self.loopback:
            raise ConfigError(
                f"who listens on {self.host}, beyond this machine, must ask for a token. Give one, "
                "or listen on 127.0.0.1 and come through SSH or a reverse proxy."
            )

    @property
    def address(self) -> str:
        """The IP address to listen on."""
        return "127.0.0.1" if self.host == "localhost" else self.host

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.address).is_loopback
