"""The page: sections one below the other, the same for every target."""

from __future__ import annotations

from mmedge.calibration.outcome import Calibration, Outcome
from mmedge.calibration.report import summary
from mmedge.calibration.report.confusions import draw_confusions
from mmedge.calibration.report.engines import engines
from mmedge.calibration.report.histograms import draw_histograms
from mmedge.calibration.report.sensitivity import draw_sensitivity
from mmedge.calibration.report.style import STYLE
from mmedge.calibration.report.tradeoff import draw_tradeoff
from mmedge.proof.drawing.markup import Markup, element, joined

__all__ = ["draw_page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is loaded and nothing runs, whatever a name tries."""
TARGETS = {"tensorrt": "TensorRT", "cpu": "CPU"}


def draw_page(found: Calibration) -> str:
    """Draw what a calibration found, as one HTML file that needs nothing else."""
    title = f"{found.bundle.manifest.name}: calibration"
    body = [
        element("h1", title),
        element("section", element("h2", "Plans"), summary.plans(found)),
        element("section", element("h2", "Samples"), summary.splits(found)),
        *(_target(each, found.max_drop) for each in found.outcomes),
    ]
    if found.engines is not None:
        body.append(element("section", element("h2", "Engines"), engines(found.engines)))
    page = element("html", _head(title), element("body", element("main", *body)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE)),
    )


def _target(outcome: Outcome, max_drop: float) -> Markup:
    said = TARGETS.get(outcome.target, outcome.target)
    name = f"{said}: {outcome.plan}" if outcome.plan else said
    verdict = f"{outcome.verdict[:1].upper()}{outcome.verdict[1:]}."
    parts = [
        element("h2", name, " ", summary.tags(outcome)),
        element("p", verdict),
        summary.facts(outcome),
        element("h3", "Accuracy against cost"),
        draw_tradeoff(outcome, max_drop),
        summary.subsets(outcome),
        element("h3", "What each layer costs"),
        draw_sensitivity(outcome),
        element("h3", "Answers"),
        draw_confusions(outcome),
        summary.left_out(outcome),
    ]
    if outcome.plan is not None:
        parts += [
            element("h3", "Kept above the plan's precision"),
            summary.kept(outcome),
            element("h3", "Values and their ranges"),
            draw_histograms(outcome),
        ]
    return element("section", joined(parts), id=outcome.target)
