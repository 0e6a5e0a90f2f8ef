"""The engines on the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mmedge.calibration.report import draw_page
from tests.calibration.report.made import a_calibration
from tests.calibration.report.read import Read

ENGINE = {
    "graph": "ant",
    "bytes": 1_234_000,
    "seconds": 2.25,
    "kept": False,
    "audit": {
        "layers": 9,
        "precisions": {"Int8": 4, "Float": 1},
        "attentions": 2,
        "fused": 1,
        "wrong": [],
    },
    "notes": ["<b>careful</b>"],
    "file": None,
}
REPORT = {
    "plan": "mixed_tensorrt",
    "why": "",
    "where": "Orin (8.7)",
    "ahead_of_time": False,
    "engines": [ENGINE],
}


def drawn(engines: dict[str, Any] | None) -> list[str]:
    page = draw_page(replace(a_calibration(), engines=engines))
    return [text for text in Read(page).texts if text.strip()]


def test_each_engine_is_there_with_what_its_products_compute_in() -> None:
    texts = drawn({"report": REPORT, "why": "audited, and not kept"})
    begin = texts.index("Engines")
    told = texts[begin + 1 :]
    assert "Plan mixed_tensorrt for Orin (8.7)." in told
    row = told.index("ant")
    assert told[row : row + 6] == ["ant", "1.23 MB", "2.2", "4", "1", "1 of 2"]
    assert told[-2:] == ["ant: <b>careful</b>", "audited, and not kept"]


def test_where_there_are_none_it_is_said_why() -> None:
    texts = drawn({"report": None, "why": "there is no NVIDIA driver here."})
    assert texts[texts.index("Engines") :] == ["Engines", "there is no NVIDIA driver here."]


def test_before_they_are_tried_there_is_nothing_of_them() -> None:
    assert "Engines" not in drawn(None)
