"""Progress on a terminal, and silence where a script listens."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from mmedge import views
from mmedge.runtime.offline import FilePrediction
from mmedge.runtime.prediction import Prediction

Screen = Callable[[str, bool], io.StringIO]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Put a terminal, or a file, in the place of stdout (``_out``) or stderr (``_err``)."""

    def put(name: str, terminal: bool) -> io.StringIO:
        text = io.StringIO()
        console = Console(
            file=text, force_terminal=terminal, width=80, _environ={"TERM": "xterm-256color"}
        )
        monkeypatch.setattr(views, name, console)
        return text

    return put


def drawn(shown: io.StringIO, words: str) -> bool:
    """Wait, up to ten seconds, for the thread that draws the status."""
    deadline_ns = time.monotonic_ns() + 10_000_000_000
    while words not in shown.getvalue() and time.monotonic_ns() < deadline_ns:
        time.sleep(0.01)
    return words in shown.getvalue()


def predictions() -> Iterator[FilePrediction]:
    nothing = Prediction(tasks={}, presence={})
    for end_ns in (1_000_000_000, 1_250_000_000):
        yield FilePrediction(0, end_ns, nothing)


def test_a_terminal_shows_how_far_predictions_into_a_file_are(screen: Screen) -> None:
    screen("_out", False)
    shown = screen("_err", True)
    given = views.watched(predictions())
    assert next(given).end_ns == 1_000_000_000
    assert drawn(shown, "predict: clip 0, 1.00 s ...")
    assert next(given).end_ns == 1_250_000_000
    assert drawn(shown, "1.25 s ...")
    assert list(given) == []


def test_without_an_answer_it_says_what_there_was(screen: Screen) -> None:
    shown = screen("_out", False)
    views.show_predictions(predictions())
    alone = Prediction(tasks={}, presence={"photo": False, "caption": True})
    views.show_predictions([FilePrediction(0, 0, alone)])
    assert shown.getvalue().splitlines() == [
        "   1.00 s  nothing present",
        "   1.25 s  nothing present",
        "   0.00 s  no answer to caption alone",
    ]


def test_the_wait_ends_where_a_terminal_shows_the_predictions_themselves(screen: Screen) -> None:
    screen("_out", True)
    shown = screen("_err", True)
    given = views.watched(predictions())
    next(given)
    written = shown.getvalue()
    assert "\x1b[?25h" in written  # the cursor is back: nothing is drawn any more
    assert len(list(given)) == 1
    assert shown.getvalue() == written


def test_a_script_hears_nothing_of_waiting(screen: Screen) -> None:
    shown = screen("_err", False)
    with views.waiting("open"):
        assert len(list(views.watched(predictions()))) == 2
    assert shown.getvalue() == ""


def test_a_terminal_shows_what_is_waited_for(screen: Screen) -> None:
    shown = screen("_err", True)
    with views.waiting("open"):
        assert drawn(shown, "open ...")
