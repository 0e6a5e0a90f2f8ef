"""Every error that mmedge raises on purpose, and the exit code it ends the command line with.

An error says what came, what was expected and what to do next. Each kind also
inherits the built-in exception that a reader would expect, so that ``except
ValueError`` keeps working. Anything else that escapes is a bug of ours (exit 70).
"""

from __future__ import annotations

__all__ = [
    "ArtefactError",
    "ConfigError",
    "IncompatibleError",
    "MissingDependencyError",
    "MmedgeError",
    "ProofError",
    "ResourceError",
    "SourceError",
]


class MmedgeError(Exception):
    """Base of all errors that tell the user something they can act on."""

    exit_code = 70


class ConfigError(MmedgeError, ValueError):
    """A recipe, an option or an argument that cannot be meant as it stands."""

    exit_code = 2


class ArtefactError(MmedgeError, ValueError):
    """A bundle, checkpoint, graph or golden file that is damaged or not to be trusted."""

    exit_code = 3


class IncompatibleError(MmedgeError, RuntimeError):
    """Sound in itself, but not for this machine, version or operator set."""

    exit_code = 4


class MissingDependencyError(IncompatibleError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class SourceError(MmedgeError, OSError):
    """A camera, microphone or media file that cannot be opened or read."""

    exit_code = 5


class ResourceError(MmedgeError, MemoryError):
    """The input would need more memory, disk or time than the limits allow."""

    exit_code = 6


class ProofError(MmedgeError, RuntimeError):
    """Numbers that had to agree do not."""

    exit_code = 7
