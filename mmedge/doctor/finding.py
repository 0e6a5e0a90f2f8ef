"""What is wrong with a machine, and the command that mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Report", "Severity"]

Severity = Literal["error", "warning", "note"]
"""``error``: a command for something that is here would stop. ``warning``: commands run, but
worse, or may stop. ``note``: something that one may do without is not here."""

_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: of the kind of finding, for scripts: ``two-onnxruntimes``.
        severity: see `Severity`.
        what: what was found, and what it does.
        remedy: the command that mends it, for a shell.
        where: the package, file or device that it is about.
    """

    name: str
    severity: Severity
    what: str
    remedy: str
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was looked at and what was found.

    Attributes:
        machine: what is here, by subject, for people: ``{"python": "3.10.12", ...}``.
        findings: the gravest first.
    """

    machine: Mapping[str, str]
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.findings, key=lambda finding: _ORDER.index(finding.severity))
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def stops(self) -> tuple[Finding, ...]:
        """Findings that would stop a command."""
        return tuple(each for each in self.findings if each.severity == "error")

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "machine": dict(self.machine),
            "findings": [asdict(finding) for finding in self.findings],
        }
