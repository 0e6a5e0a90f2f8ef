"""What a report may say: it is pasted into public issues.

Values of variables that are named like secrets, what is written as a password, token or
credential, and the user's and the host's name are taken out of every text, wherever it came
from: another package's error may hold any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["make_scrubber", "without_values"]

_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASS|KEY|AUTH|CREDENTIAL|COOKIE", re.IGNORECASE)
_SECRET_WORDS = re.compile(r"TOKEN|SECRET|PASS", re.IGNORECASE)
# Shorter values are words of commands as well; so are those of small letters alone, of a
# variable such as LOCK_KEY.
_SHORTEST, _SHORTEST_WORD = 6, 12
# Names of accounts that tell nothing, and are also words of ours.
_NOBODY = frozenset(
    {"localhost", "root", "nvidia", "jetson", "ubuntu", "user", "admin", "python", "mmedge"}
    | {"audio", "video", "dev", "sudo", "test", "tmp", "usr"}
)
# NAME=value, NAME: value, 'NAME': 'value' and "NAME": "value", also with its quotes escaped.
_NAMED = (
    r"(?<![\w.-])[\w.-]*?(?:token|password|passwd|passphrase|(?<![A-Za-z])pass|pwd|secret"
    r"|credential|cookie|(?:api|access|private|secret)[_-]?key)s?(?![A-Za-z])[\w-]*"
)
_VALUE = r"""(?:[bru]?"(?:\\.|[^"\\])*"?|[bru]?'(?:\\.|[^'\\])*'?|\\+"(?:(?!\\+").)*|[^\s&]+)"""
_AUTHORIZATION = r"authorization\\*['\"]?\s*[=:]"
_PATTERNS = (
    # A password may hold slashes and @: all up to the last one goes.
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]+@"), r"\1***@"),
    (re.compile(rf"(?is)({_NAMED}\\*['\"]?\s*[=:]\s*){_VALUE}"), r"\1***"),
    (re.compile(rf"(?i)({_AUTHORIZATION}[\s'\"\\]*(?:basic|bearer)\s+)[^\s'\",]+"), r"\1***"),
    (re.compile(rf"(?i)({_AUTHORIZATION})(?![\s'\"\\]*(?:basic|bearer)\s).+"), r"\1 ***"),
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
        user: the user's name, which goes; one of two letters from paths alone.
        host: the machine's name, which goes, if it is longer than two letters.
    """
    secrets = sorted(
        (
            value
            for name, value in environment.items()
            if _SECRET_NAMES.search(name) and len(value) >= _least(name, value)
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
            if len(user) > 2:
                text = _without(user, "USER", text)
            text = re.sub(r"\S*[/\\]\S*", lambda path: _without(user, "USER", path[0]), text)
        if len(host) > 2 and host not in _NOBODY:
            text = _without(host, "HOST", text)
        return text

    return scrub


def without_values(text: str) -> str:
    """Leave of ``NAME=value`` the name alone."""
    return re.sub(r"\b([A-Z][A-Z0-9_]{3,})=(?:'[^']*'|\"[^\"]*\"|\S+)", r"\1=***", text)


def _least(name: str, value: str) -> int:
    word = value.isalpha() and value.islower() and not _SECRET_WORDS.search(name)
    return _SHORTEST_WORD if word else _SHORTEST


def _without(name: str, stand_in: str, text: str) -> str:
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", stand_in, text)
