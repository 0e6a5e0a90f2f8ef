"""The HTTP face of a running pipeline: its health, its metrics, and its predictions live.

It listens only where it is told to, on loopback unless told otherwise, and changes nothing:
every request only reads.
"""

from __future__ import annotations

from mmedge.runtime.server.config import ServerConfig
from mmedge.runtime.server.server import Server
from mmedge.runtime.server.token import Token, find_token

__all__ = ["Server", "ServerConfig", "Token", "find_token"]
