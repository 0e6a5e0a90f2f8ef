from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmedge.errors import ConfigError, IncompatibleError
from mmedge.runtime.samples import Frame
from mmedge.runtime.sinks.window import Window, WindowConfig, check_windows, paint
from tests.runtime.sinks.ticks import make_tick

ROOT = Path(__file__).resolve().parents[3]
HEADLESS = "  GUI:                           NONE\n    GTK+:  NO\n"
QT = "  GUI:                           QT5\n    QT:  YES\n"
can_show = ["GUI:", "NONE"] not in [line.split() for line in cv2.getBuildInformation().splitlines()]


def test_a_headless_opencv_is_told_at_start() -> None:
    with pytest.raises(IncompatibleError, match=r"without windows.*mmedge\[opencv\]"):
        check_windows(HEADLESS, {"DISPLAY": ":0"})


@pytest.mark.skipif(can_show, reason="this OpenCV is not headless")
def test_this_headless_opencv_is_recognised() -> None:
    with pytest.raises(IncompatibleError, match="without windows"):
        Window(WindowConfig(), lambda: None)


@pytest.mark.skipif(sys.platform != "linux", reason="displays of Linux")
def test_no_display_is_told_at_start() -> None:
    with pytest.raises(IncompatibleError, match="neither DISPLAY nor WAYLAND_DISPLAY"):
        check_windows(QT, {})


@pytest.mark.skipif(sys.platform != "linux", reason="displays of Linux")
def test_a_display_that_cannot_be_reached_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(IncompatibleError, match=r"cannot open a window here: .*DISPLAY=':4711'"):
        check_windows(QT, os.environ)


def test_the_picture_is_left_and_the_bars_are_right() -> None:
    pixels = np.full((60, 80, 3), (10, 20, 200), np.uint8)
    config = WindowConfig(height=240)
    shown = paint(cv2, Frame(time_ns=0, pixels=pixels, order="rgb"), make_tick(), config)
    assert shown.shape == (240, 320 + 270, 3)
    assert shown.dtype == np.uint8
    assert tuple(shown[120, 160]) == (200, 20, 10)  # OpenCV's order
    # The bars of 0.75 (green, it is active) and 0.25 (blue) of 120 pixels.
    assert tuple(shown[40, 320 + 140 + 88]) == (80, 220, 80)
    assert tuple(shown[40, 320 + 140 + 92]) == (32, 32, 32)
    assert tuple(shown[60, 320 + 140 + 28]) == (220, 160, 60)
    assert tuple(shown[60, 320 + 140 + 32]) == (32, 32, 32)


def test_before_the_first_picture_there_is_room_for_it() -> None:
    assert paint(cv2, None, None, WindowConfig(height=240)).shape == (240, 320 + 270, 3)


def test_text_that_opencv_cannot_write_is_no_obstacle() -> None:
    tick = make_tick(absent={"猫\x1b[2J": "\udcff" * 1_000})
    paint(cv2, None, tick, WindowConfig(height=240))


@pytest.mark.parametrize("wrong", [{"height": 10}, {"draws_hz": 0.0}, {"bars": 0}])
def test_a_wrong_setting_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        WindowConfig(**wrong)  # type: ignore[arg-type]


SHOW = """
import threading, time
import cv2, numpy as np
from mmedge.runtime.sinks.window import Window, WindowConfig
from mmedge.runtime.samples import Frame
from tests.runtime.sinks.ticks import make_tick
frame = Frame(time_ns=0, pixels=np.full((480, 640, 3), 90, np.uint8), order="bgr")
quits = []
window = Window(WindowConfig(title="mmedge test"), lambda: frame, on_quit=lambda: quits.append(1))

def live():
    for number in range(20):
        window.emit(make_tick(number))
        time.sleep(0.05)
        assert cv2.getWindowProperty("mmedge test", cv2.WND_PROP_VISIBLE) == 1
    cv2.destroyWindow("mmedge test")  # as the user closes it
    cv2.waitKey(1)
    time.sleep(0.1)
    window.emit(make_tick(20))
    window.emit(make_tick(21))
    window.close()

thread = threading.Thread(target=live)
thread.start()
thread.join()
print("quits", len(quits))
"""


@pytest.mark.live
@pytest.mark.skipif(not can_show, reason="needs opencv-python; this OpenCV is headless")
@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="needs: apt-get install xvfb xauth")
def test_a_window_lives_on_the_sinks_thread_and_its_end_is_noticed() -> None:
    command = ["xvfb-run", "-a", sys.executable, "-c", SHOW]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "quits 1\n"), done.stderr
