"""Addresses of streams, and how they are shown: never with a user's name or password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["is_url", "scrubbed", "shown"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Some cameras want the password in the path: rtsp://host/user=admin&password=...
_SECRET = re.compile(r"pass|pwd|user|token|key|auth|secret|@", re.IGNORECASE)


_WITHIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"]+")


def is_url(text: str) -> bool:
    """Tell an address such as ``rtsp://host/path`` from a name or a path."""
    return _URL.match(text) is not None


def shown(text: str) -> str:
    """Give a name, path or URL as it may be shown: a URL without user, password and query."""
    if not is_url(text):
        return text
    scheme, _, rest = text.partition("://")
    try:
        parts = urlsplit(text)
        host, path = parts.netloc.rpartition("@")[2], parts.path
    except ValueError:
        return f"{scheme}://..."
    if "@" in rest[len(parts.netloc) :]:
        # A password with a slash or so in it: nobody knows where the host begins.
        return f"{scheme}://..."
    path = "/..." if _SECRET.search(path) else path
    return f"{scheme}://{host}{path}{'?...' if parts.query else ''}"


def scrubbed(text: str) -> str:
    """Give a message, whoever wrote it, with every address in it as it may be shown."""
    return _WITHIN.sub(lambda found: shown(found[0]), text)
