"""The picture of what each layer costs: the noise in the answers when it alone is INT8."""

from __future__ import annotations

import math

from mmedge.calibration.outcome import Outcome
from mmedge.calibration.sensitivity import Unit
from mmedge.proof.drawing.axes import Axis
from mmedge.proof.drawing.markup import Markup, element, shortened

__all__ = ["draw_sensitivity"]

INT8, RESTORED = "int8", "restored"


def draw_sensitivity(outcome: Outcome) -> Markup:
    """Draw a bar for each unit, encoder by encoder, in the order of restoring."""
    if not outcome.units:
        return element("p", "No layer was measured.", class_="soft")
    heard = [_decibels(unit) for unit in outcome.units]
    finite = [each for each in heard if math.isfinite(each)]
    low = 10 * math.floor(min(finite) / 10) - 5 if finite else -100.0
    scale = Axis(low, max(0.0, *finite) if finite else 0.0, 0.0, 100.0)
    parts = []
    for modality in dict.fromkeys(unit.modality for unit in outcome.units):
        parts.append(element("h4", modality))
        units = [unit for unit in outcome.units if unit.modality == modality]
        parts.append(element("ol", *(_row(outcome, unit, scale) for unit in units), class_="bars"))
    caption = (
        "Noise in the fused answers, in dB below them, with this unit alone in INT8 (closer to 0 "
        "is worse); what costs most for its multiply-accumulates comes first."
    )
    legend = element(
        "p", _key(INT8, "INT8 in the plan"), _key(RESTORED, "kept above INT8"), class_="legend"
    )
    return element(
        "figure",
        legend if outcome.plan else "",
        *parts,
        element("figcaption", caption),
    )


def _decibels(unit: Unit) -> float:
    """-inf where nothing changed, nan where nobody measured."""
    if math.isnan(unit.noise):
        return math.nan
    return 10 * math.log10(unit.noise) if unit.noise > 0 else -math.inf


def _row(outcome: Outcome, unit: Unit, scale: Axis) -> Markup:
    noise = _decibels(unit)
    more = f" and {len(unit.layers) - 1} more" if len(unit.layers) > 1 else ""
    name = element("span", shortened(unit.layers[0], 48) + more, class_="name")
    bar = ""
    if not math.isnan(noise):
        share = max(scale.at(noise), 0.5)
        rect = element("rect", width=f"{share:.1f}%", height="100%", rx=2)
        bar = element("svg", rect, class_=f"bar {_kept(outcome, unit)}", aria_hidden="true")
    said = element("span", _said(noise), class_="value")
    title = f"{', '.join(unit.layers)}: {unit.macs:,} multiply-accumulates"
    return element("li", name, element("span", bar, class_="track"), said, title=title)


def _said(noise: float) -> str:
    if math.isnan(noise):
        return "not measured"
    return "none" if noise == -math.inf else f"{noise:.1f} dB"


def _kept(outcome: Outcome, unit: Unit) -> str:
    """Whether the plan has the unit in INT8; without one there is nothing to tell."""
    if outcome.plan is None or outcome.searched is None:
        return ""
    chosen = outcome.searched.candidate.int8.get(unit.modality, frozenset())
    return INT8 if chosen.issuperset(unit.layers) else RESTORED


def _key(kind: str, said: str) -> Markup:
    rect = element("rect", width=12, height=12, rx=2)
    key = element("svg", rect, viewBox="0 0 12 12", class_=f"key bar {kind}", aria_hidden="true")
    return element("span", key, said)
