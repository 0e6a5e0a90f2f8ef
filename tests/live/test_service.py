"""``mmedge serve --camera 0`` as a service: found, told to end, told to change its bundle."""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmedge.demo.run import BUNDLE
from tests.live import pipewire
from tests.live.pipewire import PipeWire
from tests.live.serving import Row, Serving

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def session() -> Iterator[PipeWire]:
    if pipewire.missing():
        pytest.skip(pipewire.missing())
    with PipeWire() as running:
        yield running


@pytest.fixture
def camera(session: PipeWire) -> PipeWire:
    """It serves one client per start."""
    session.unplug()
    session.plug()
    return session


def seconds_to_end(serving: Serving, number: signal.Signals, code: int) -> float:
    begun_s = time.monotonic()
    assert serving.end(number) == code, serving.said
    return time.monotonic() - begun_s


def test_exactly_serve_camera_0_in_an_empty_folder_predicts(
    camera: PipeWire, tmp_path: Path
) -> None:
    command = ("--camera", "0")
    with Serving(
        *command, environment=camera.environment, folder=tmp_path, json_lines=False
    ) as serving:
        line = serving.line_with("digit=")
        assert "camera " in line
        assert "mic absent: no source was given" in line
        assert seconds_to_end(serving, signal.SIGTERM, 0) < 5
    assert (
        f"bundle {BUNDLE} (the demo's, since no bundle is named and none is here)" in serving.said
    )
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_it_with_130_and_what_was_predicted_is_in_the_file(
    camera: PipeWire, tmp_path: Path
) -> None:
    options = ("--camera", "0", "--jsonl", "out.jsonl")
    with Serving(*options, environment=camera.environment, folder=tmp_path) as serving:
        for _ in range(10):
            serving.until_present("camera")
        assert seconds_to_end(serving, signal.SIGINT, 130) < 5
    written = (tmp_path / "out.jsonl").read_text().splitlines(keepends=True)
    assert written == serving.lines
    assert [row["number"] for row in serving.rows] == list(range(len(written)))


def test_sighup_swaps_the_bundle_and_keeps_the_old_one_if_the_new_one_does_not_verify(
    camera: PipeWire, tmp_path: Path
) -> None:
    bundle = tmp_path / "digits.mmedge"
    shutil.copytree(BUNDLE, bundle)
    with Serving("--camera", "0", environment=camera.environment, folder=tmp_path) as serving:
        first = serving.until_present("camera")["bundle"]
        change(bundle, '"threshold": 0.5', '"threshold": 0.6')
        serving.send(signal.SIGHUP)
        second = serving.until(lambda row: row["bundle"] != first)["bundle"]
        change(bundle, "pillow-bilinear", "pillow-bicubic")
        serving.send(signal.SIGHUP)
        serving.until(lambda _: "was not changed" in serving.said)
        refused = len(serving.rows)
        for _ in range(20):
            serving.until_present("camera")
        assert seconds_to_end(serving, signal.SIGTERM, 0) < 5
    refusal = "the bundle was not changed, the old one goes on: it fails its own proof here"
    assert refusal in serving.said
    assert {row["bundle"] for row in serving.rows[refused:]} == {second}
    assert longest_gap_ms(serving.rows) < 500  # the camera went on throughout


def change(bundle: Path, old: str, new: str) -> None:
    manifest = bundle / "manifest.json"
    text = manifest.read_text("utf-8")
    assert old in text
    draft = bundle / "draft"
    draft.write_text(text.replace(old, new), "utf-8")
    draft.replace(manifest)


def longest_gap_ms(rows: list[Row]) -> float:
    """The longest time between two pictures that were predicted from."""
    ends_ns = sorted({row["basis"]["camera"]["end_ns"] for row in rows if "camera" in row["basis"]})
    assert len(ends_ns) > 20
    return max(b - a for a, b in itertools.pairwise(ends_ns)) / 1e6
