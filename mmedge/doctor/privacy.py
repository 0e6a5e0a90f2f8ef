"""What a report may say: it is pasted into public issues.

Environment values, tokens, passwords in URLs, the user's and the host's name are taken out of
every text, wherever it came from: another package's error may hold any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["make_scrubber", "without_values"]

_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASS|KEY|AUTH|CREDENTIAL|COOKIE", re.IGNORECASE)
# Shorter values, and those of small letters alone, are words of commands as well.
_SHORTEST, _SHORTEST_WORD = 6, 12
# Names of accounts that tell nothing, and are also words of ours.
_NOBODY = frozenset(
    {"localhost", "root", "nvidia", "jetson", "ubuntu", "user", "admin", "python", "mmedge"}
)
_PATTERNS = (
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@]+@"), r"\1***@"),
    (
        re.compile(r"(?i)\b(token|password|passwd|secret|api[_-]?key)(\s*[=:]\s*)[^\s&'\"]+"),
        r"\1\2***",
    ),
    (re.compile(r"(?i)\bbearer\s+[^\s'\"]+"), "Bearer ***"),
    (re.compile(r"\bGPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "GPU-***"),
    (re.compile(r"((?:^|(?<=[^\w]))/(?:home|Users|media|run/media))/[^/\s'\":]+"), r"\1/USER"),
    (re.compile(r"([A-Za-z]:\\Users)\\[^\\\s'\":]+"), r"\1\\USER"),
)


def make_scrubber(
    environment: Mapping[str, str], *, home: str, user: str, host: str
) -> Callable[[str], str]:
    """Make what takes secrets out of a text.

    Args:
        environment: variables; the values of those whose names speak of secrets go.
        home: the user's folder, which becomes ``~``.
        user: the user's name, which goes from paths.
        host: the machine's name, which goes.
    """
    secrets = sorted(
        (
            value
            for name, value in environment.items()
            if _SECRET_NAMES.search(name) and len(value) >= _least(value)
        ),
        key=len,
        reverse=True,
    )

    def scrub(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        if len(home) > 1:
            text = re.sub(rf"(?<![\w/.~-]){re.escape(home)}(?=[/\\\s'\":;,)]|$)", "~", text)
        for pattern, stand_in in _PATTERNS:
            text = pattern.sub(stand_in, text)
        if user and user not in _NOBODY:
            text = re.sub(r"\S*[/\\]\S*", lambda path: _without(user, "USER", path[0]), text)
        if len(host) > 2 and host not in _NOBODY:
            text = _without(host, "HOST", text)
        return text

    return scrub


def without_values(text: str) -> str:
    """Leave of ``NAME=value`` the name alone."""
    return re.sub(r"\b([A-Z][A-Z0-9_]{3,})=(?:'[^']*'|\"[^\"]*\"|\S+)", r"\1=***", text)


def _least(value: str) -> int:
    return _SHORTEST_WORD if value.isalpha() and value.islower() else _SHORTEST


def _without(name: str, stand_in: str, text: str) -> str:
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", stand_in, text)
