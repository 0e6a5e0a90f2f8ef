"""The picture of a bench: every row and stage in it, and nothing that a name smuggles in."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mmedge.errors import ConfigError
from mmedge.proof.bench.found import Bench, Row
from mmedge.proof.bench.picture import check_picture, draw_bench, write_picture

SVG = "{http://www.w3.org/2000/svg}"


def row(plan: str, whole_ms: float, **fields: Any) -> Row:
    stages = {"prepare camera": 0.2, "encode camera": 0.3, "encode mic": 0.2, "fusion": 0.1}
    took = {**{name: share * whole_ms for name, share in stages.items()}, "whole": whole_ms}
    made: dict[str, Any] = {
        "backend": "cpu",
        "plan": plan,
        "threads": {"fusion": 1},
        "runs": 9,
        "p50_ms": took,
        "p95_ms": {"whole": 1.5 * whole_ms},
        "p99_ms": {"whole": 2.0 * whole_ms},
        "ratio": whole_ms / 10,
        "moved": 0.0,
        "per_s": 1000 / whole_ms,
        **fields,
    }
    return Row(**made)


def bench(*rows: Row, name: str = "digits", best: Row | None = None) -> Bench:
    return Bench(
        name=name,
        digest="0" * 64,
        machine="Zen 3, 2 cores",
        versions={"mmedge": "0.1.0"},
        power="this machine tells of none",
        rounds=20,
        rows=rows,
        best=best or rows[0],
        record=None,
        kept="",
    )


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture).iter(f"{SVG}text")]


def test_every_row_is_named_with_its_ratio_and_the_best_is_bold() -> None:
    rows = row("fp32", 10.0), row("int8", 5.0)
    picture = draw_bench(bench(*rows, best=rows[1]))
    said = texts(picture)
    for text in ("digits: a whole prediction, ms", "Zen 3, 2 cores", "cpu fp32", "1.00", "0.50"):
        assert text in said
    bold = [
        each.text
        for each in ET.fromstring(picture).iter()
        if "bold" in each.attrib.get("class", "")
    ]
    assert bold == ["digits: a whole prediction, ms", "cpu int8", "0.50"]


def test_a_bar_is_as_long_as_its_median_and_has_all_stages() -> None:
    root = ET.fromstring(draw_bench(bench(row("fp32", 10.0), row("int8", 5.0))))
    lengths = []
    for bar in root.findall(f"{SVG}g"):
        parts = bar.findall(f"{SVG}rect")
        told = [part.findtext(f"{SVG}title") for part in parts]
        assert [text.partition(":")[0] for text in told if text] == [
            "prepare camera",
            "encode camera",
            "encode mic",
            "fusion",
            "the rest",
        ]
        lengths.append(sum(float(part.attrib["width"]) for part in parts))
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=0.1)


def test_stages_that_add_up_to_more_than_the_whole_are_drawn_within_it() -> None:
    over = row("fp32", 10.0, p50_ms={"encode mic": 9.0, "fusion": 3.0, "whole": 10.0})
    root = ET.fromstring(draw_bench(bench(over, row("int8", 10.0))))
    first, second = (
        sum(float(part.attrib["width"]) for part in bar.findall(f"{SVG}rect"))
        for bar in root.findall(f"{SVG}g")
    )
    assert first == pytest.approx(second, abs=0.1)


def test_what_is_not_proven_is_marked() -> None:
    rows = row("fp32", 10.0), row("int8", 5.0, verified=False, problem="x")
    assert texts(draw_bench(bench(*rows))).count("failed") == 1


def test_a_name_cannot_become_markup() -> None:
    picture = draw_bench(bench(row("fp32", 10.0), name="<script>alert(1)</script>"))
    assert "<script" not in picture
    assert any("<script>alert(1)</script>" in text for text in texts(picture))


def test_it_is_written_where_it_may_be(tmp_path: Path) -> None:
    check_picture(tmp_path / "a.svg")
    write_picture(tmp_path / "a.svg", "<svg/>")
    assert (tmp_path / "a.svg").read_text() == "<svg/>"
    with pytest.raises(ConfigError, match=r"a picture's name ends in \.svg, not 'a\.png'"):
        check_picture(tmp_path / "a.png")
