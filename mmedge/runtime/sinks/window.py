"""A window with the picture and the scores, by OpenCV."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge._optional import require
from mmedge.errors import ConfigError, IncompatibleError
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.samples import Frame
from mmedge.runtime.sinks.late import LateError
from mmedge.runtime.sinks.text import clean

__all__ = ["Window", "WindowConfig", "check_windows", "paint"]

Picture = npt.NDArray[np.uint8]

ROW, MARGIN, BAR = 22, 10, 120  # pixels
WHITE, GREEN, GREY, BLUE = (255, 255, 255), (80, 220, 80), (150, 150, 150), (220, 160, 60)
ESCAPE = 27

# In a process of its own: where the display cannot be reached, Qt ends the whole process.
PROBE = "import cv2; cv2.namedWindow('mmedge'); cv2.waitKey(1); cv2.destroyAllWindows()"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """The window.

    Attributes:
        title: of the window.
        height: of the picture in it, in pixels; the width follows.
        draws_hz: at most so often.
        bars: so many labels of every task, the best first.
    """

    title: str = "mmedge"
    height: int = 480
    draws_hz: float = 30.0
    bars: int = 5

    def __post_init__(self) -> None:
        if not 120 <= self.height <= 4_320:
            raise ConfigError(f"height={self.height} must lie in 120..4320 pixels.")
        if not 0 < self.draws_hz <= 240 or self.bars < 1:
            raise ConfigError(f"draws_hz={self.draws_hz} and bars={self.bars} must be positive.")


class Window:
    """Shows the newest picture beside the newest scores.

    The window is made, drawn and closed on the sink's one thread, as OpenCV wants it.
    Escape, Q or closing the window asks for the end.

    Args:
        config: its size.
        latest_frame: gives the newest picture, ``None`` before the first.
        on_quit: called once when the user wants to end.
        clock: in nanoseconds.

    Raises:
        MissingDependencyError: there is no OpenCV.
        IncompatibleError: this OpenCV, or this machine, can open no window.
    """

    name = "window"

    def __init__(
        self,
        config: WindowConfig,
        latest_frame: Callable[[], Frame | None],
        *,
        on_quit: Callable[[], object] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._cv2: Any = require("cv2", extra="opencv", why="a window")
        check_windows(self._cv2.getBuildInformation(), os.environ)
        self._config = config
        self._latest_frame = latest_frame
        self._on_quit = on_quit
        self._clock = clock
        self._late = LateError()
        self._tick: Tick | None = None
        self._due_ns = clock()
        self._open = self._quit = False

    def emit(self, tick: Tick) -> None:
        """Remember the prediction, and draw if it is time.

        Raises:
            OSError: the window cannot be drawn.
        """
        self._late.tell()
        self._tick = tick
        self._draw()

    def show(self, status: Status) -> None:
        """Draw, if it is time."""
        self._late.keep(self._draw)

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            self._late.keep(self._destroy)

    def _draw(self) -> None:
        now_ns = self._clock()
        if now_ns < self._due_ns or self._quit:
            return
        self._due_ns = now_ns + round(1e9 / self._config.draws_hz)
        picture = paint(self._cv2, self._latest_frame(), self._tick, self._config)
        try:
            self._present(picture)
        except self._cv2.error as exc:
            raise OSError(f"the window cannot be drawn: {exc}") from exc

    def _present(self, picture: Picture) -> None:
        closed = self._open and not self._visible()
        if not closed:
            if not self._open:  # without the buttons that Qt adds
                self._cv2.namedWindow(
                    self._config.title, self._cv2.WINDOW_GUI_NORMAL | self._cv2.WINDOW_AUTOSIZE
                )
            self._cv2.imshow(self._config.title, picture)
            self._open = True
        if closed or self._cv2.waitKey(1) & 0xFF in {ESCAPE, ord("q")}:
            self._quit = True
            if closed:
                self._open = False
            self.close()
            if self._on_quit is not None:
                self._on_quit()

    def _visible(self) -> bool:
        try:
            shown = self._cv2.getWindowProperty(self._config.title, self._cv2.WND_PROP_VISIBLE)
        except self._cv2.error:  # Qt, when the last window of the process was closed
            return False
        return bool(shown >= 1)

    def _destroy(self) -> None:
        try:
            self._cv2.destroyWindow(self._config.title)
            self._cv2.waitKey(1)  # some window systems close it only now
        except self._cv2.error as exc:
            raise OSError(f"the window cannot be closed: {exc}") from exc


def check_windows(build: str, environ: Mapping[str, str]) -> None:
    """Make sure that a window can be opened here, before the first picture comes.

    Args:
        build: ``cv2.getBuildInformation()``.
        environ: ``os.environ``.

    Raises:
        IncompatibleError: it cannot, and what to do about it.
    """
    gui = re.search(r"^\s*GUI:\s*(\S+)", build, re.MULTILINE)
    if gui is None or gui[1] == "NONE":
        raise IncompatibleError(
            "this OpenCV was built without windows ('headless'). Replace it: pip uninstall "
            "opencv-python-headless, then pip install 'mmedge[opencv]'."
        )
    if sys.platform == "linux" and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        raise IncompatibleError(
            "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set. Start it on the "
            "desktop, or go without the window: the terminal shows the scores as well."
        )
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired as exc:
        raise IncompatibleError(
            "opening a window takes longer than 20 s; is the display alive?"
        ) from exc
    if done.returncode != 0:
        why = clean(done.stderr.strip().rpartition("\n")[2]) or f"it ended with {done.returncode}"
        raise IncompatibleError(
            f"OpenCV cannot open a window here: {why}. Is the display reachable (DISPLAY="
            f"{environ.get('DISPLAY', '')!r}), and are libgl1 and libxcb1 installed?"
        )


def paint(cv2: Any, frame: Frame | None, tick: Tick | None, config: WindowConfig) -> Picture:
    """Draw the picture and, right of it, the scores.

    Returns:
        uint8 ``[config.height, w, 3]`` in OpenCV's order, blue first.
    """
    panel = np.full((config.height, MARGIN * 3 + 2 * BAR, 3), 32, np.uint8)
    y = ROW
    for text, colour, score in _rows(tick, config.bars):
        _write(cv2, panel, text, (MARGIN, y), colour)
        if score is not None:
            x = MARGIN * 2 + BAR
            end = x + round(min(max(score, 0.0), 1.0) * BAR)
            cv2.rectangle(panel, (x, y - 12), (end, y), colour, cv2.FILLED)
        y += ROW
    return np.hstack([_picture(cv2, frame, config.height), panel])


def _picture(cv2: Any, frame: Frame | None, height: int) -> Picture:
    if frame is None:
        empty = np.zeros((height, height * 4 // 3, 3), np.uint8)
        _write(cv2, empty, "no picture", (MARGIN, height // 2), GREY)
        return empty
    rows, columns = frame.pixels.shape[:2]
    size = (max(1, round(columns * height / rows)), height)
    small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(small[:, :, ::-1] if frame.order == "rgb" else small, np.uint8)


def _rows(tick: Tick | None, bars: int) -> list[tuple[str, tuple[int, int, int], float | None]]:
    """Lines of the panel: text, colour, and the length of a bar from 0 to 1."""
    if tick is None:
        return [("starting", GREY, None)]
    rows: list[tuple[str, tuple[int, int, int], float | None]] = []
    for task, answer in tick.prediction.tasks.items():
        scores = tick.smoothed.get(task) or answer.scores
        active = tick.active.get(task, ())
        rows.append((task, WHITE, None))
        for label in sorted(scores, key=scores.__getitem__, reverse=True)[:bars]:
            if label in answer.units:
                text = f" {label} {scores[label]:.4g} {answer.units[label]}"
                rows.append((text, BLUE, None))
            else:
                rows.append((f" {label}", GREEN if label in active else BLUE, scores[label]))
    rows += [(f"{name}: {why}", GREY, None) for name, why in tick.absent.items()]
    for name, basis in tick.basis.items():
        spoiled = f" {', '.join(basis.complaints)}" if basis.complaints else ""
        rows.append((f"{name}: {basis.age_ns / 1e6:.0f} ms{spoiled}", WHITE, None))
    return rows


def _write(cv2: Any, onto: Picture, text: str, at: tuple[int, int], colour: Any) -> None:
    # OpenCV's letters are ASCII.
    shown = clean(text).encode("ascii", "replace").decode()[:40]
    cv2.putText(onto, shown, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
