"""What is wrong with a machine, and the commands that mend it."""

from __future__ import annotations

from mmedge.doctor.examination import examine
from mmedge.doctor.finding import Finding, Report, Severity
from mmedge.doctor.place import Place

__all__ = ["Finding", "Place", "Report", "Severity", "examine"]
