"""What came of the plan's engines, and what they compute in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmedge.proof.drawing.markup import Markup, element, joined, table

__all__ = ["engines"]

PRECISIONS = ("Int8", "Half", "Float")


def engines(told: Mapping[str, Any]) -> Markup:
    """Tabulate the audit of each engine.

    Args:
        told: ``report``, as `mmedge.engines.BuildReport` gives it as JSON, or ``None``; and
            ``why`` there is none, or what its engines mean.
    """
    report, parts = told["report"], []
    if report is not None:
        parts.append(element("p", f"Plan {report['plan']} for {report['where']}."))
        head = ("graph", "size", "seconds", *PRECISIONS, "attention in one")
        parts.append(table(head, map(_row, report["engines"]), numbers=range(1, 7)))
        parts += [
            element("p", f"{each['graph']}: {note}", class_="note")
            for each in report["engines"]
            for note in each["notes"]
        ]
    if told["why"]:
        parts.append(element("p", told["why"], class_="note"))
    return joined(parts)


def _row(engine: Mapping[str, Any]) -> tuple[str, ...]:
    found = engine["audit"]
    return (
        engine["graph"],
        f"{engine['bytes'] / 1e6:.2f} MB",
        f"{engine['seconds']:.1f}",
        *(str(found["precisions"].get(name, "")) for name in PRECISIONS),
        f"{found['fused']} of {found['attentions']}" if found["attentions"] else "",
    )
