"""Every encoder with every head: exported and proven, or refused with the reason.

``docs/encoders-and-heads.md`` is what this test finds. After a change that is meant:
``MMEDGE_WRITE_TABLES=1 python -m pytest -m torch tests/export/test_every_pair.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from mmedge import models  # noqa: E402
from mmedge.bundle import save_bundle  # noqa: E402
from mmedge.models import fusion  # noqa: E402
from tests.export.pairs import (  # noqa: E402
    ENCODERS,
    FORMS,
    FOUR,
    HEADS,
    PARTNER,
    Form,
    Outcome,
    encoder_of,
    join,
    kind_of,
)

pytestmark = pytest.mark.torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "encoders-and-heads.md"
WRITE = "MMEDGE_WRITE_TABLES"
TEXT = """\
# Encoders and heads

Which encoder of `mmedge.models` goes with which fusion head. This page is made, and held, by
`tests/export/test_every_pair.py`: each ✓ is a bundle of its own, its graphs proven equal to torch
at batches of 1, 2 and 5 for every subset of the modalities.

## Every encoder with every head

Beside each encoder stands a second one, a text of tokens with a mask.

{pairs}

## Image, sound, text and signal at once

{four}
"""


@cache
def with_every_head(form: Form) -> dict[str, Outcome]:
    return {head: join({"it": form, "other": PARTNER}, head) for head in HEADS}


@cache
def all_four(head: str) -> Outcome:
    return join(FOUR, head)


def points(outcome: Outcome) -> set[tuple[str, str, int]]:
    assert outcome.parity is not None, outcome.refusal
    assert outcome.parity.passed, outcome.parity.first_failure
    return {(each.point, each.subset, each.batch) for each in outcome.parity.findings}


def keep(outcome: Outcome, path: Path) -> None:
    """Write a bundle with a new graph to where another machine finds it, see `conftest.py`."""
    if outcome.fresh and outcome.bundle is not None:
        save_bundle(outcome.bundle, path)


def test_no_encoder_is_left_out() -> None:
    networks = {name for name in models.__all__ if isinstance(getattr(models, name), type)}
    front_ends = {name for name in networks if name.endswith("FrontEnd")} | {"StandardiseWindow"}
    others = {"LearnedTemperature", *fusion.__all__}
    assert networks - front_ends - others == set(ENCODERS)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]}, {kind_of(form)}")
def test_an_encoder_goes_with_every_head_or_is_told_why_not(form: Form, tmp_path: Path) -> None:
    for head, outcome in with_every_head(form).items():
        if outcome.refusal:
            continue  # the page says so, and the last test that it says it
        found = points(outcome)
        task = "match" if head in ("dual", "matching") else "digit"
        for subset in ("it+other", "it", "other", "nothing"):
            for batch in (1, 2, 5):
                assert {
                    (f"fusion/{task}", subset, batch),
                    (f"end to end/{task}", subset, batch),
                } <= found
        assert {("it/embedding", "", 1), ("it/embedding", "", 5)} <= found
        keep(outcome, tmp_path / f"{head}.mmedge")


@pytest.mark.parametrize("head", HEADS)
def test_a_head_takes_all_four_kinds_at_once_or_says_that_it_compares_two(
    head: str, tmp_path: Path
) -> None:
    outcome = all_four(head)
    if head in ("dual", "matching"):
        assert "compares two modalities" in outcome.refusal
        return
    subsets = {subset for point, subset, _ in points(outcome) if point == "end to end/digit"}
    assert len(subsets) == 16
    keep(outcome, tmp_path / "four.mmedge")


def test_a_graph_that_is_no_longer_its_encoders_is_noticed() -> None:
    """The graphs of a pair were exported for other pairs: that must not make it blind."""
    form = ("ImageCNN", False)
    assert join({"it": form, "other": PARTNER}, "sum").parity is not None  # its graphs are known
    weight = encoder_of(form).module.project.weight
    trained = weight.detach().clone()
    with torch.no_grad():
        weight[0] += 0.1
        outcome = join({"it": form, "other": PARTNER}, "sum")
        weight.copy_(trained)
    assert outcome.parity is not None
    assert outcome.parity.first_failure is not None
    assert outcome.parity.first_failure.point == "it/embedding"


def test_the_page_says_what_was_found() -> None:
    found = TEXT.format(pairs=_pairs(), four=_four())
    if os.environ.get(WRITE):
        PAGE.write_text(found, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == found


def _pairs() -> str:
    rows = [
        (f"`{form[0]}`", kind_of(form), *map(_cell, with_every_head(form).values()))
        for form in FORMS
    ]
    return _table(("encoder", "gives", *HEADS), rows)


def _four() -> str:
    return _table(("head", "all four"), [(head, _cell(all_four(head))) for head in HEADS])


def _cell(outcome: Outcome) -> str:
    return outcome.refusal or "✓"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
