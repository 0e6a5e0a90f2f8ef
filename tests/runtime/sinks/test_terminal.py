from __future__ import annotations

import io
import logging
import time

import pytest
from rich.cells import cell_len

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.status import ModalityStatus, SourceStatus
from mmedge.runtime.pipeline.tick import Event
from mmedge.runtime.prediction import Prediction, TaskPrediction
from mmedge.runtime.sinks.terminal import Screen, Terminal, TerminalConfig
from mmedge.runtime.sinks.terminal_view import View, draw, summary_line
from mmedge.runtime.sinks.text import clean
from tests.runtime.sinks.ticks import (
    MIDNIGHT_NS,
    SECOND_NS,
    HandClock,
    began,
    make_status,
    make_tick,
)

EVIL = "\x1b[2J[red]\u202eevil\n\u2028x"


def screen(view: View, width: int = 80, height: int = 24) -> list[str]:
    lines = draw(view, width, height)
    assert len(lines) <= height
    assert all(cell_len(line.plain) <= width and "\n" not in line.plain for line in lines)
    return [line.plain.rstrip() for line in lines]


def full_view(**changes: object) -> View:
    events = [(MIDNIGHT_NS, began()), (MIDNIGHT_NS + SECOND_NS, began("six"))]
    return View(tick=make_tick(4), status=make_status(**changes), events=events)


def test_everything_is_there_at_80_by_24() -> None:
    assert screen(full_view()) == [
        "digits  up 0:00:05  4.0/s  ready  #4  spread 12 ms",
        "digit",
        f"  seven          {'█' * 40}▌{' ' * 13}  0.75 *",
        f"  six            {'█' * 13}▌{' ' * 40}  0.25",
        "modality           age    rate   encode  share  notes",
        "camera           33 ms  15.0/s   4.5 ms  +0.50  dark  skipped 74",
        "mic                  -   0.0/s        -  +0.12  absent: microphone pulse: unplu…",
        "source         state          rate  notes",
        "camera 0       live          30 Hz  640x480 MJPG at 30 Hz",
        "microphone pu… waiting    48000 Hz  unplugged  opened 2x  -12 ppm",
        "sink jsonl: lost 1  disk full",
        "board  power_mode MAXN",
        "events",
        "00:00:01 digit: six began 0.75",
        "00:00:00 digit: seven began 0.75",
    ]


def test_a_thousand_labels_leave_room_for_the_state_and_the_events() -> None:
    scores = {f"label {i}": 1 / (i + 1) for i in range(1_000)}
    answer = TaskPrediction(scores=scores, contributions={})
    tick = make_tick(prediction=Prediction(tasks={"digit": answer}, presence={}), smoothed={})
    shown = screen(View(tick=tick, status=make_status(), events=[(MIDNIGHT_NS, began())]))
    assert "digit  (990 more)" in shown
    assert any(line.startswith("microphone") for line in shown)
    assert shown[-1] == "00:00:00 digit: seven began 0.75"


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (200, 60), (1, 1)])
def test_any_size_will_do(width: int, height: int) -> None:
    assert len(screen(full_view(), width, height)) >= 1


def test_before_the_first_prediction_it_says_so() -> None:
    assert screen(View(tick=None, status=None, events=[]))[0] == "starting"
    waiting = screen(View(tick=None, status=make_status(ready=False), events=[]))
    assert waiting[0] == "digits  up 0:00:05  4.0/s  warming up"


def test_nothing_present_is_told() -> None:
    nothing = Prediction(tasks={}, presence={"camera": False})
    tick = make_tick(prediction=nothing, basis={}, smoothed={}, aligned=False, fresh=False)
    shown = screen(View(tick=tick, status=make_status(), events=[]))
    assert shown[0].endswith("not aligned  not fresh")
    assert shown[1] == "nothing present, nothing to predict"


def test_a_quantity_has_its_unit_and_no_bar() -> None:
    answer = TaskPrediction(scores={"level": 12.345}, units={"level": "m"}, contributions={})
    tick = make_tick(prediction=Prediction(tasks={"tank": answer}, presence={}), smoothed={})
    assert screen(View(tick=tick, status=None, events=[]))[2] == "  level          12.35 m"


def test_text_from_strangers_moves_no_cursor_and_colours_nothing() -> None:
    assert clean(EVIL) == ".[2J[red].evil..x"
    assert clean("Größe 7: 猫") == "Größe 7: 猫"
    answer = TaskPrediction(scores={EVIL: 0.5}, contributions={})
    tick = make_tick(
        prediction=Prediction(tasks={EVIL: answer}, presence={}), smoothed={}, absent={EVIL: EVIL}
    )
    status = make_status(
        model=EVIL,
        degraded=EVIL,
        modalities={EVIL: ModalityStatus(name=EVIL, present=False, reason=EVIL, degraded=EVIL)},
        sources=(SourceStatus(name=EVIL, feeds=(), state="waiting", reason=EVIL, granted=EVIL),),
        board={EVIL: EVIL},
    )
    event = Event(task=EVIL, label=EVIL, what="began", time_ns=0, score=0.5)
    shown = screen(View(tick=tick, status=status, events=[(0, event)]))
    told = "\n".join([*shown, summary_line(tick, status)])
    assert "[red]" in told  # as it stands, not as a colour
    assert [each for each in told if not each.isprintable() and each != "\n"] == []


def on_a_terminal(clock: HandClock) -> tuple[Terminal, io.StringIO]:
    out = io.StringIO()
    console = Screen(file=out, force_terminal=True, width=80, height=24, color_system="standard")
    return Terminal(console=console, clock=clock), out


def test_it_is_drawn_at_most_eight_times_a_second() -> None:
    clock = HandClock()
    sink, out = on_a_terminal(clock)
    drawn, before = 0, 0
    for number in range(100):
        sink.emit(make_tick(number))
        drawn += len(out.getvalue()) > before
        before = len(out.getvalue())
        clock.forward(0.01)
    assert drawn == 8


def test_the_screen_is_given_back_with_the_last_events() -> None:
    sink, out = on_a_terminal(HandClock())
    sink.show(make_status())
    sink.emit(make_tick(0, events=(began(),)))
    sink.close()
    sink.close()
    told = out.getvalue()
    assert told.count("\x1b[?1049h") == told.count("\x1b[?1049l") == 1
    assert told.rpartition("\x1b[?1049l")[2].strip().endswith("digit: seven began 0.75")
    assert told.endswith("\n")


def test_markup_of_a_stranger_stays_text_on_a_terminal() -> None:
    clock = HandClock()
    sink, out = on_a_terminal(clock)
    sink.show(make_status(model="[blink]x\x1b[5m"))
    sink.close()
    assert "[blink]x.[5m" in out.getvalue()
    assert "\x1b[5m" not in out.getvalue()


def test_without_a_terminal_there_is_a_line_per_event_and_change_of_state() -> None:
    clock, out = HandClock(), io.StringIO()
    sink = Terminal(console=Screen(file=out, force_terminal=False, width=40), clock=clock)
    sink.show(make_status())
    for number in range(9):
        sink.emit(make_tick(number, events=(began(),) if number == 2 else ()))
        clock.forward(0.25)
    sink.emit(make_tick(9, absent={}))
    sink.close()
    state = "digit=seven 0.75 (camera 33 ms, mic 120 ms, hint absent: no device) 4.0/s"
    assert out.getvalue().splitlines() == [
        f"00:00:00 {state}",
        "00:00:00 digit: seven began 0.75",
        "00:00:02 digit=seven 0.75 (camera 33 ms, mic 120 ms) 4.0/s",
    ]


def test_a_terminal_that_has_gone_is_told_until_it_comes_back() -> None:
    class Flaky(io.StringIO):
        gone = True

        def write(self, text: str) -> int:
            if self.gone:
                raise BrokenPipeError(32, "Broken pipe")
            return super().write(text)

    clock, out = HandClock(), Flaky()
    console = Screen(file=out, force_terminal=True, width=80, height=24)
    sink = Terminal(console=console, clock=clock)
    for number in range(10):
        sink.show(make_status())
        with pytest.raises(BrokenPipeError):
            sink.emit(make_tick(number))
        clock.forward(1)
    out.gone = False
    sink.show(make_status())
    sink.emit(make_tick(10))
    assert out.getvalue().count("640x480 MJPG") == 1  # the newest, and not all that waited
    sink.close()


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_messages_wait_until_the_screen_is_given_back() -> None:
    clock, stderr, to_file = HandClock(), Tty(), io.StringIO()
    root = logging.getLogger()
    handlers = [logging.StreamHandler(stderr), logging.StreamHandler(to_file)]
    for handler in handlers:
        root.addHandler(handler)
    try:
        sink, out = on_a_terminal(clock)
        logging.getLogger("mmedge").warning("before")
        sink.show(make_status())
        for number in range(300):
            logging.getLogger("mmedge").warning("camera %d is gone", number)
        clock.forward(1)
        sink.emit(make_tick(0))
        assert stderr.getvalue() == "before\n"
        assert to_file.getvalue().count("is gone") == 300
        assert "log  camera 299 is gone" in out.getvalue()
        sink.close()
        logging.getLogger("mmedge").warning("after")
        told = stderr.getvalue().splitlines()
        assert told[:2] == ["before", "camera 100 is gone"]  # the newest 200
        assert told[-2:] == ["camera 299 is gone", "after"]
        assert [each for each in root.handlers if each in handlers] != []
    finally:
        for handler in handlers:
            root.removeHandler(handler)


def test_a_drawing_costs_little() -> None:
    clock = HandClock()
    sink, _ = on_a_terminal(clock)
    sink.show(make_status())
    begin_s = time.process_time()
    for number in range(50):
        clock.forward(1)
        sink.emit(make_tick(number))
    each_s = (time.process_time() - begin_s) / 50
    assert each_s < 0.02  # 1 ms here: at 8 a second under a hundredth of a core


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="draws_hz=0"):
        TerminalConfig(draws_hz=0)
    with pytest.raises(ConfigError, match="events=0"):
        TerminalConfig(events=0)
