"""``mmedge gallery`` and ``mmedge search``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import save_bundle
from mmedge.demo import run
from tests.fakes import linear_bundle

Run = Callable[..., tuple[int, str, str]]
CAMERA = Path(run.__file__).parent / "data" / "camera"


@pytest.fixture
def shop(mmedge: Run, demo_bundle: Path, tmp_path: Path) -> Path:
    out = tmp_path / "shop.gallery"
    pictures = [CAMERA / f"{i:03}.png" for i in range(8)]
    code, said, err = mmedge("gallery", demo_bundle, *pictures, "hint=even", "-o", out)
    assert (code, err) == (0, "")
    assert said == f"camera: 8 entries of 8\nhint: 1 entries of 1\ngallery: {out}\n"
    return out


def test_a_picture_finds_itself_first(mmedge: Run, demo_bundle: Path, shop: Path) -> None:
    code, out, err = mmedge("search", demo_bundle, shop, CAMERA / "005.png", "--top", 3)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"  1     1.000 cosine  {CAMERA / '005.png'}"


def test_search_writes_one_line_of_json_per_hit(mmedge: Run, demo_bundle: Path, shop: Path) -> None:
    code, out, err = mmedge("search", demo_bundle, shop, "--text", "even", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "name": "even",
        "modality": "hint",
        "end_ms": 0.0,
        "score": 1.0,
        "measure": "cosine",
    }


def test_gallery_writes_json_for_a_script(mmedge: Run, demo_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "hints.txt").write_text("even\nodd\n", encoding="utf-8")
    out = tmp_path / "x.gallery"
    code, said, _ = mmedge(
        "gallery", demo_bundle, "--texts", tmp_path / "hints.txt", "-o", out, "--json"
    )
    assert (code, json.loads(said)) == (0, {"gallery": str(out), "entries": {"hint": 2}})


def test_a_long_run_says_how_far_it_is(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clock() -> Iterator[int]:
        now_ns = 0
        while True:
            yield now_ns
            now_ns += 1_500_000_000

    ticks = clock()
    monkeypatch.setattr("mmedge.views.time.monotonic_ns", lambda: next(ticks))
    pictures = [CAMERA / f"{i:03}.png" for i in range(40)]
    code, _, err = mmedge("gallery", demo_bundle, *pictures, "-o", tmp_path / "x.gallery")
    assert code == 0
    assert err == "encoded 32 ...\n"


@pytest.mark.parametrize(
    "case",
    [
        ([], 2, "nothing to put into the gallery"),
        (["nowhere.png"], 5, "nowhere.png"),
        (["--texts", "nowhere.txt"], 5, "nowhere.txt"),
        (["hint=even", "--plan", "int8"], 2, "the bundle has no plan 'int8'"),
    ],
)
def test_a_gallery_that_cannot_be_made_says_why_and_writes_nothing(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, case: tuple[list[Any], int, str]
) -> None:
    arguments, code, words = case
    ended, out, err = mmedge("gallery", demo_bundle, *arguments, "-o", tmp_path / "x.gallery")
    assert (ended, out) == (code, "")
    assert words in err
    assert not (tmp_path / "x.gallery").exists()


def test_a_gallery_that_is_there_needs_force(mmedge: Run, demo_bundle: Path, shop: Path) -> None:
    assert mmedge("gallery", demo_bundle, "hint=odd", "-o", shop)[0] == 2
    assert mmedge("gallery", demo_bundle, "hint=odd", "-o", shop, "--force")[0] == 0


def test_a_search_that_cannot_be_made_says_why(
    mmedge: Run, demo_bundle: Path, shop: Path, tmp_path: Path
) -> None:
    save_bundle(linear_bundle(1), tmp_path / "other.mmedge")
    (tmp_path / "bad.gallery").write_bytes(b"no")
    for arguments, code, words in (
        ((demo_bundle, tmp_path / "no.gallery", "--text", "x"), 2, "is not there"),
        ((demo_bundle, tmp_path / "bad.gallery", "--text", "x"), 3, "cannot be read"),
        ((demo_bundle, shop), 2, "give one query"),
        ((demo_bundle, shop, "--text", "even", "--top", 0), 2, "top=0"),
        ((tmp_path / "other.mmedge", shop, "ant=x.wav"), 4, "make it again: mmedge gallery"),
    ):
        ended, out, err = mmedge("search", *arguments)
        assert (ended, out) == (code, ""), arguments
        assert words in err
